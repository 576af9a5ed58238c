//! How much memory there is for guests: the host's, or what the control groups of this process leave of it.

use std::fs;
use std::path::Path;

/// Bytes of memory that the host could still give out; `None` where the kernel does not tell.
pub fn available_memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Bytes of memory that this process could still use; `None` where the kernel tells of no limit.
pub(crate) fn usable_memory() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = left_in_groups(&groups, Path::new("/sys/fs/cgroup"));
    available_memory().into_iter().chain(left).min()
}

/// A version of control groups: where it is mounted, and its files.
struct Version {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: what of it is given back when somebody needs it.
    cached: &'static str,
}

const V1: Version = Version {
    mount: "memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file",
};
const V2: Version = Version {
    mount: "",
    limit: "memory.max",
    used: "memory.current",
    cached: "inactive_file",
};

/// The least that is left in any group that this process is in, or in one above; `None` without a limit.
fn left_in_groups(groups: &str, root: &Path) -> Option<u64> {
    let left = |line: &str| {
        // Hierarchy, controllers, path; version 2 has no controllers there.
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let version = match controllers {
            "" => V2,
            _ if controllers.split(',').any(|it| it == "memory") => V1,
            _ => return None,
        };
        let path = Path::new(path).strip_prefix("/").ok()?;
        let mount = root.join(version.mount);
        // In a container the mount may be the group itself, and the path lead nowhere.
        let above = path.ancestors();
        above
            .filter_map(|group| version.left(&mount.join(group)))
            .min()
    };
    groups.lines().filter_map(left).min()
}

impl Version {
    fn left(&self, group: &Path) -> Option<u64> {
        let number = |file| -> Option<u64> {
            let text = fs::read_to_string(group.join(file)).ok()?;
            // No number where there is no limit.
            text.trim().parse().ok()
        };
        let (limit, used) = (number(self.limit)?, number(self.used)?);
        let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cached = statistics.lines().find_map(|line| {
            let (name, bytes) = line.split_once(' ')?;
            (name == self.cached).then(|| bytes.parse::<u64>().ok())?
        });
        Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A folder that looks like `/sys/fs/cgroup`, gone in the end.
    struct Groups(PathBuf);

    impl Groups {
        fn new(name: &str) -> Groups {
            let folder = format!("apportion-{}-{name}", std::process::id());
            Groups(std::env::temp_dir().join(folder))
        }

        fn put(&self, file: &str, text: &str) {
            let file = self.0.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }

    impl Drop for Groups {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_narrowest_group_counts_and_caches_are_not_used_up() {
        let groups = Groups::new("v2");
        groups.put("a/b/memory.max", "max\n");
        groups.put("a/b/memory.current", "100\n");
        groups.put("a/memory.max", "1000\n");
        groups.put("a/memory.current", "700\n");
        groups.put("a/memory.stat", "anon 500\ninactive_file 150\n");
        assert_eq!(left_in_groups("0::/a/b\n", &groups.0), Some(450));
        groups.put("a/b/memory.max", "300\n");
        assert_eq!(left_in_groups("0::/a/b\n", &groups.0), Some(200));
        assert_eq!(left_in_groups("0::/c\n", &groups.0), None);
    }

    #[test]
    fn version_1_has_a_mount_of_its_own_which_may_be_the_group_itself() {
        let groups = Groups::new("v1");
        groups.put("memory/memory.limit_in_bytes", "900\n");
        groups.put("memory/memory.usage_in_bytes", "1000\n");
        groups.put("memory/memory.stat", "total_inactive_file 300\n");
        let of = "5:cpu,memory:/docker/abc\n4:pids:/x\n0::/\n";
        assert_eq!(left_in_groups(of, &groups.0), Some(200));
        groups.put("memory/memory.stat", "");
        assert_eq!(left_in_groups(of, &groups.0), Some(0));
        assert_eq!(left_in_groups("", &groups.0), None);
    }
}
