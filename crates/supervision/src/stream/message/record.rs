//! How message structs are read: member by member, each leniently.

/// Declares structs whose fields are all optional, with the members that they are read from:
/// `field: Type = "member"`. Of duplicate members the last one counts, as in JavaScript.
macro_rules! records {
    ($(
        $(#[$doc:meta])*
        $name:ident $(<$lifetime:lifetime>)? {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $member:literal,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name $(<$lifetime>)? {
            $($(#[$field_doc])* pub $field: Option<$type>,)*
        }

        impl<'r $(, $lifetime)?> $crate::stream::raw::FromRaw<'r> for $name $(<$lifetime>)?
        where
            Self: 'r,
            $('r: $lifetime,)?
        {
            fn from_raw(raw: $crate::stream::raw::Raw<'r>) -> Option<Self> {
                if !raw.json().starts_with('{') {
                    return None;
                }
                let mut record = Self::default();
                for (name, value) in raw.members() {
                    match &*name {
                        $($member => record.$field = value.read(),)*
                        _ => {}
                    }
                }
                Some(record)
            }
        }
    )*};
}

pub(super) use records;
