//! Makes everything that a setting needs of its one declaration.
//!
//! ```text
//!                 ┌─ field of Config, with its documentation
//!   declaration ──┼─ default
//!                 ├─ flag and its help      Flags
//!                 ├─ key of the file        ConfigFile
//!                 └─ check of its range     Config::out_of_range
//! ```

/// Declares the configuration: fields that no single flag sets, then the settings.
///
/// A setting is `name: type = default => { flag, help, shown, range }`. `flag` is the flag and what
/// help shows for its value. `help` has the unit. `shown` is what help shows as the default where
/// the default itself does not. `range` bounds a number; without it any is allowed.
macro_rules! declare {
    (
        plain { $( $(#[$plain_doc:meta])* $plain:ident: $plain_type:ty, )* }
        $(
            $(#[$doc:meta])*
            $name:ident: $type:ty = $default:expr => {
                flag: $flag:literal,
                help: $help:literal,
                $( shown: $shown:expr, )?
                $( range: $range:expr, )?
            }
        )*
    ) => {
        /// Everything that a deployment decides. [`Config::default`] is usable as it is but for the
        /// addresses.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $( $(#[$plain_doc])* pub $plain: $plain_type, )*
            $(
                #[doc = concat!($help, ".\n\nFlag: `", $flag, "`.")]
                #[doc = concat!("Default: `", stringify!($default), "`.")]
                $( #[doc = concat!("Range: `", stringify!($range), "`.")] )?
                $(#[$doc])*
                pub $name: $type,
            )*
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    $( $plain: Default::default(), )*
                    $( $name: $default, )*
                }
            }
        }

        impl Config {
            /// Numbers that are not within their range.
            pub(super) fn out_of_range(&self) -> Vec<Error> {
                let mut list = Vec::new();
                $( $(
                    let number = Setting::number(&self.$name);
                    list.extend($range.refuse(stringify!($name), number));
                )? )*
                list
            }
        }

        /// The flags of all settings, as they were given.
        #[derive(Clone, Debug)]
        pub(in crate::control) struct Flags(ArgMatches);

        impl Flags {
            /// Overwrites what was given.
            ///
            /// # Errors
            /// An address cannot be used.
            pub(in crate::control) fn apply(mut self, config: &mut Config) -> Result<(), Error> {
                $(
                    let names = Names { key: stringify!($name), flag: $flag };
                    config.$name.take_flag(names, &mut self.0)?;
                )*
                Ok(())
            }

            fn arguments() -> Vec<Arg> {
                let mut list = Vec::new();
                $(
                    let names = Names { key: stringify!($name), flag: $flag };
                    let default: $type = $default;
                    let shown = Setting::shown(&default);
                    $( let shown = shown.or(Some($shown.to_string())); )?
                    list.push(<$type as Setting>::argument(argument(names, $help, shown)));
                )*
                list
            }
        }

        /// A configuration file as it stands; whatever it leaves out keeps its default.
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct Keys {
            pub(super) sources: BTreeMap<String, String>,
            pub(super) sinks: BTreeMap<String, String>,
            $( $name: <$type as Setting>::File, )*
        }

        impl Keys {
            /// Overwrites what the file has, but for sources and sinks.
            pub(super) fn apply(self, config: &mut Config) -> Result<(), Error> {
                $(
                    let names = Names { key: stringify!($name), flag: $flag };
                    config.$name.take_key(names, self.$name)?;
                )*
                Ok(())
            }
        }

        /// The names of all settings.
        #[cfg(test)]
        pub(in crate::control) const NAMES: &[Names] = &[
            $( Names { key: stringify!($name), flag: $flag }, )*
        ];
    };
}

pub(super) use declare;
