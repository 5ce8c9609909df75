//! The macro `settings!`. From one list it makes the struct [`Settings`](super::Settings), its flags, the layering of
//! profiles, and the definitions that the reproduction command, `loadgen init` and the schema of profiles use.

/// Defines the settings. An entry is
///
/// ```text
/// /// Help
/// "profile-key" field: Type, example("TOML value"), harmless,
///     flag(long, value_name = "N", env = "LOADGEN_…");
/// ```
///
/// `flag` takes clap's attributes of a field. In the place of `harmless` each entry has to say one of these:
///
/// * `harmless`: the reproduction command shows the value as it is;
/// * `masked(function)`: it shows the result of `fn(&str) -> String` for each value;
/// * `shown_by(function)`: it shows the result of `fn(&[String]) -> Vec<String>` for all values together;
/// * `secret`: it shows `***`.
macro_rules! settings {
    (
        $(#[$struct_attribute:meta])*
        pub struct $name:ident {
            $(
                $(#[$attribute:meta])*
                $key:literal $field:ident: $type:ty, example($example:literal),
                $shown:ident $(($show:path))?,
                flag($($flag:tt)*);
            )*
        }
        without_flag {
            $($(#[$extra_attribute:meta])* $extra:ident: $extra_type:ty;)*
        }
    ) => {
        $(#[$struct_attribute])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
        #[cfg_attr(feature = "cli", derive(clap::Args))]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[$attribute])*
                #[cfg_attr(feature = "cli", arg($($flag)*))]
                #[serde(rename = $key)]
                pub $field: $type,
            )*
            $(
                $(#[$extra_attribute])*
                #[cfg_attr(feature = "cli", arg(skip))]
                #[serde(skip)]
                pub $extra: $extra_type,
            )*
        }

        impl $name {
            /// All settings that have a profile key, in the order of the help.
            pub(crate) const DEFINITIONS: &[$crate::config::settings::Definition] = &[
                $($crate::config::settings::Definition {
                    key: $key,
                    example: $example,
                    is_switch: <$type as $crate::config::settings::value::SettingValue>::IS_SWITCH,
                    #[cfg(test)]
                    is_masked: settings!(@is_masked $shown),
                    #[cfg(test)]
                    schema: <$type as $crate::config::settings::value::SettingValue>::schema,
                },)*
            ];

            /// Returns the given settings with their definitions and their values, without secrets.
            pub(crate) fn shown_values(
                &self,
            ) -> Vec<(&'static $crate::config::settings::Definition, Vec<String>)> {
                use $crate::config::settings::value::SettingValue as _;
                let shown = [
                    $(settings!(@shown self.$field.texts(), $shown $(($show))?),)*
                ];
                Self::DEFINITIONS.iter().zip(shown).filter(|(_, values)| !values.is_empty()).collect()
            }

            /// Returns the given settings with their definitions and their whole values, secrets included: never show them.
            #[cfg_attr(not(all(feature = "cli", feature = "pipeline")), allow(dead_code))]
            pub(crate) fn raw_values(
                &self,
            ) -> Vec<(&'static $crate::config::settings::Definition, Vec<String>)> {
                use $crate::config::settings::value::SettingValue as _;
                let texts = [$(self.$field.texts(),)*];
                Self::DEFINITIONS.iter().zip(texts).filter(|(_, values)| !values.is_empty()).collect()
            }

            /// Replaces each setting that was not given by that of `base`.
            pub(super) fn complete_with(&mut self, base: Self) {
                use $crate::config::settings::value::SettingValue as _;
                $(self.$field.complete_with(base.$field);)*
            }
        }
    };
    (@is_masked masked) => { true };
    (@is_masked secret) => { true };
    (@is_masked $shown:ident) => { false };
    (@shown $texts:expr, harmless) => { $texts };
    (@shown $texts:expr, secret) => { $texts.iter().map(|_| "***".to_owned()).collect::<Vec<String>>() };
    (@shown $texts:expr, masked($mask:path)) => { $texts.iter().map(|text| $mask(text)).collect::<Vec<String>>() };
    (@shown $texts:expr, shown_by($show:path)) => { $show(&$texts) };
}

pub(super) use settings;
