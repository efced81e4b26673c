//! Who runs this program, and where what is theirs belongs.

use std::path::PathBuf;

/// Their name, as the system knows it.
pub fn name() -> Option<String> {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok()
}

/// Where their data of this program is: `$XDG_DATA_HOME/quantrack`.
pub fn data_folder() -> Option<PathBuf> {
    xdg("XDG_DATA_HOME", ".local/share")
}

/// Where their settings of this program are: `$XDG_CONFIG_HOME/quantrack`.
pub fn config_folder() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config")
}

fn xdg(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)));
    folder.map(|folder| folder.join("quantrack"))
}
