//! `/proc/cpuinfo`.

/// What `/proc/cpuinfo` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// As in "Cortex-A53" or "AMD EPYC 7B13".
    pub name: Option<String>,
    /// MIDR as in "0x410fd034" (ARM), or family-model-stepping (x86).
    pub id: Option<String>,
    /// Logical processors.
    pub cores: u32,
    /// The revision code that Raspberry Pi firmware writes, as in "a02082".
    pub revision: Option<String>,
    /// The model line that Raspberry Pi kernels write.
    pub model: Option<String>,
    /// Whether these are ARM cores.
    pub arm: bool,
    /// Whether all of them are known to execute out of order, which decides between kernels.
    pub out_of_order: bool,
}

/// Implementer and part numbers of the cores found on small boards (Arm, MIDR_EL1 in each core's technical reference
/// manual), their names, and whether they execute out of order.
const ARM_PARTS: &[(u32, u32, &str, bool)] = &[
    (0x41, 0xb76, "ARM1176", false),
    (0x41, 0xc05, "Cortex-A5", false),
    (0x41, 0xc07, "Cortex-A7", false),
    (0x41, 0xc08, "Cortex-A8", false),
    (0x41, 0xc09, "Cortex-A9", true),
    (0x41, 0xc0e, "Cortex-A17", true),
    (0x41, 0xc0f, "Cortex-A15", true),
    (0x41, 0xd01, "Cortex-A32", false),
    (0x41, 0xd03, "Cortex-A53", false),
    (0x41, 0xd04, "Cortex-A35", false),
    (0x41, 0xd05, "Cortex-A55", false),
    (0x41, 0xd07, "Cortex-A57", true),
    (0x41, 0xd08, "Cortex-A72", true),
    (0x41, 0xd09, "Cortex-A73", true),
    (0x41, 0xd0a, "Cortex-A75", true),
    (0x41, 0xd0b, "Cortex-A76", true),
    (0x41, 0xd0c, "Neoverse-N1", true),
    (0x41, 0xd0d, "Cortex-A77", true),
    (0x41, 0xd40, "Neoverse-V1", true),
    (0x41, 0xd41, "Cortex-A78", true),
    (0x41, 0xd49, "Neoverse-N2", true),
];

/// Parses `/proc/cpuinfo`; the first processor speaks for all, except where all have to be of a kind.
pub fn parse_cpuinfo(text: &str) -> Cpu {
    let lines = || text.lines().filter_map(|line| line.split_once(':'));
    let lines = || lines().map(|(key, value)| (key.trim(), value.trim()));
    let field = |name: &str| lines().find(|(key, value)| *key == name && !value.is_empty());
    let field = |name: &str| field(name).map(|(_, value)| value.to_owned());
    let cores = lines().filter(|(key, value)| *key == "processor" && is_number(value)).count();
    let mut cpu = Cpu {
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        revision: field("Revision"),
        model: field("Model"),
        ..Cpu::default()
    };
    let number = |name: &str| field(name).as_deref().and_then(parse_number);
    if let (Some(implementer), Some(part)) = (number("CPU implementer"), number("CPU part")) {
        let known = known_part(implementer, part);
        cpu.arm = true;
        cpu.name = Some(known.map_or_else(
            || format!("ARM implementer {implementer:#x} part {part:#x}"),
            |(name, _)| name.to_owned(),
        ));
        let mut parts = lines().filter(|(key, _)| *key == "CPU part");
        cpu.out_of_order = parts.all(|(_, value)| {
            let known = parse_number(value).and_then(|part| known_part(implementer, part));
            known.is_some_and(|(_, out_of_order)| out_of_order)
        });
        let variant = number("CPU variant").unwrap_or(0) & 0xf;
        let revision = number("CPU revision").unwrap_or(0) & 0xf;
        // Architecture 0xf: "see the feature registers", as all cores since ARMv7 say.
        let midr = (implementer & 0xff) << 24 | variant << 20 | 0xf << 16 | (part & 0xfff) << 4;
        cpu.id = Some(format!("{:#010x}", midr | revision));
    } else {
        cpu.name = field("model name");
        let parts = [field("cpu family"), field("model"), field("stepping")];
        let parts: Option<Vec<String>> = parts.into_iter().collect();
        cpu.id = parts.map(|parts| parts.join("-"));
    }
    cpu
}

/// Name of a core, and whether it executes out of order.
fn known_part(implementer: u32, part: u32) -> Option<(&'static str, bool)> {
    let known = ARM_PARTS.iter().find(|(i, p, ..)| (*i, *p) == (implementer, part));
    known.map(|&(.., name, out_of_order)| (name, out_of_order))
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

/// A decimal or 0x-hexadecimal number.
fn parse_number(text: &str) -> Option<u32> {
    text.strip_prefix("0x")
        .map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_unknown_arm_parts_by_number() {
        let cpu = parse_cpuinfo("processor : 0\nCPU implementer : 0x42\nCPU part : 0x00f\n");
        assert_eq!(cpu.name.as_deref(), Some("ARM implementer 0x42 part 0xf"));
        assert_eq!(cpu.id.as_deref(), Some("0x420f00f0"));
    }

    #[test]
    fn cores_are_out_of_order_where_all_are_known_to_be() {
        let cores = |parts: &[&str]| {
            let core = |part| format!("processor : 0\nCPU implementer : 0x41\nCPU part : {part}\n");
            parse_cpuinfo(&parts.iter().map(core).collect::<String>()).out_of_order
        };
        let (a53, a72, a76, unknown) = ("0xd03", "0xd08", "0xd0b", "0xfff");
        assert!(cores(&[a72; 4]) && cores(&[a76; 4]) && cores(&[a76, a72]));
        assert!(!cores(&[a53; 4]) && !cores(&[a72, a53]) && !cores(&[a72, unknown]));
        assert!(!parse_cpuinfo("processor : 0\nmodel name : AMD EPYC\n").out_of_order);
    }

    #[test]
    fn says_nothing_where_the_file_says_nothing() {
        assert_eq!(parse_cpuinfo(""), Cpu::default());
        assert_eq!(parse_cpuinfo("::\nmodel name:\n"), Cpu::default());
    }
}
