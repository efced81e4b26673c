//! What the firmware of a PC says that it is (SMBIOS, as Linux shows it in `/sys/class/dmi/id`).

use super::root::Root;

/// What vendors leave in fields that they did not fill in, in small letters.
const PLACEHOLDERS: [&str; 9] = [
    "to be filled by o.e.m.",
    "system product name",
    "system manufacturer",
    "system version",
    "default string",
    "not specified",
    "not applicable",
    "none",
    "o.e.m.",
];

/// Maker and product, as in "Dell Inc. PowerEdge R6525"; of machines that are made of parts, those of the mainboard.
/// `None` when neither is told.
pub(super) fn product(root: &Root) -> Option<String> {
    named(root, "sys_vendor", "product_name").or_else(|| named(root, "board_vendor", "board_name"))
}

fn named(root: &Root, vendor: &str, name: &str) -> Option<String> {
    let field = |field: &str| {
        let text = root.read(&format!("/sys/class/dmi/id/{field}"))?;
        (!PLACEHOLDERS.contains(&text.to_lowercase().as_str())).then_some(text)
    };
    let name = field(name)?;
    Some(match field(vendor) {
        Some(vendor) if !name.starts_with(&vendor) => format!("{vendor} {name}"),
        _ => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fields: &[(&str, &str)]) -> Option<String> {
        let folder = tempfile::TempDir::new().unwrap();
        let dmi = folder.path().join("sys/class/dmi/id");
        std::fs::create_dir_all(&dmi).unwrap();
        for (name, text) in fields {
            std::fs::write(dmi.join(name), format!("{text}\n")).unwrap();
        }
        product(&Root::new(folder.path()))
    }

    #[test]
    fn maker_and_product_make_the_name() {
        let dell = [("sys_vendor", "Dell Inc."), ("product_name", "PowerEdge R6525")];
        assert_eq!(told(&dell).unwrap(), "Dell Inc. PowerEdge R6525");
        let twice = [("sys_vendor", "LENOVO"), ("product_name", "LENOVO 21CB")];
        assert_eq!(told(&twice).unwrap(), "LENOVO 21CB");
        assert_eq!(told(&[("product_name", "NUC11")]).unwrap(), "NUC11");
    }

    #[test]
    fn fields_that_nobody_filled_in_say_nothing() {
        let assembled = [
            ("sys_vendor", "To Be Filled By O.E.M."),
            ("product_name", "System Product Name"),
            ("board_vendor", "ASRock"),
            ("board_name", "B550M Pro4"),
        ];
        assert_eq!(told(&assembled).unwrap(), "ASRock B550M Pro4");
        assert_eq!(told(&assembled[..2]), None);
        assert_eq!(told(&[]), None);
    }
}
