//! Which cores to measure on.

use super::root::Root;

/// So many cores: those that the kernel was told to keep free of other work (`isolcpus=`) if there are enough, else the first.
pub fn quiet_cores(root: &Root, threads: u32) -> Vec<u32> {
    let isolated = root.read("/sys/devices/system/cpu/isolated");
    let isolated = isolated.and_then(|list| parse(&list)).unwrap_or_default();
    let count = usize::try_from(threads).unwrap_or(usize::MAX);
    if isolated.len() >= count {
        return isolated.into_iter().take(count).collect();
    }
    (0..threads).collect()
}

/// A list as the kernel writes it: "1,3-5".
fn parse(list: &str) -> Option<Vec<u32>> {
    /// No board that we measure on has more.
    const MOST: u32 = 1024;
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        (last < MOST).then_some(first..=last)
    };
    let ranges: Option<Vec<_>> = list.split(',').map(range).collect();
    Some(ranges?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolated_cores_come_first_when_there_are_enough() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = Root::new(folder.path());
        assert_eq!(quiet_cores(&root, 2), [0, 1]);
        std::fs::create_dir_all(folder.path().join("sys/devices/system/cpu")).unwrap();
        std::fs::write(folder.path().join("sys/devices/system/cpu/isolated"), "2-3\n").unwrap();
        assert_eq!(quiet_cores(&root, 1), [2]);
        assert_eq!(quiet_cores(&root, 2), [2, 3]);
        assert_eq!(quiet_cores(&root, 4), [0, 1, 2, 3]);
    }

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse("1,3-5"), Some(vec![1, 3, 4, 5]));
        for odd in ["", "a", "1-", "0-4294967295"] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }
}
