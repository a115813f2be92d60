//! How the structs of messages are read: one member after the other, each leniently.

/// Declares structs whose fields are all optional, and how they are read from an object: `field: Type = "member"`.
/// A member that comes twice counts as its last, as in JavaScript.
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
