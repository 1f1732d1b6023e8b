//! What the file system under the store promises: its kind and its mount options, read from the kernel.

use std::fs;
use std::path::{Path, PathBuf};

use super::Check;

const NAME: &str = "file system";
/// Every mount of this process.
const MOUNTS: &str = "/proc/self/mountinfo";
const MOVE: &str = "set `store.path` to a directory on a local disk";

/// In memory: a power cut takes everything.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
/// Somebody else's disk: what a sync promises is for a server to say.
const NETWORK: [&str; 12] =
    ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "gfs2", "ocfs2", "beegfs"];
/// Those whose sync is known to reach the device.
const LOCAL: [&str; 7] = ["ext4", "xfs", "btrfs", "ext3", "f2fs", "bcachefs", "jfs"];

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The device's numbers; major 0 is no block device.
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) point: PathBuf,
    pub(super) kind: String,
    pub(super) source: String,
    /// Of the mount and of the file system.
    pub(super) options: Vec<String>,
}

/// The file system that the store is on, or would be.
pub(super) fn check(store: &Path) -> Vec<Check> {
    match under(store) {
        Some(mount) => judge(&mount),
        None => vec![Check::skipped(
            NAME,
            format!("{MOUNTS} does not say what {} is on", store.display()),
            "see with `findmnt` that it is a local disk",
        )],
    }
}

/// The mount that a path is on, whether it is there yet or not.
pub(super) fn under(path: &Path) -> Option<Mount> {
    let path = existing(path).canonicalize().ok()?;
    let mounts = fs::read_to_string(MOUNTS).ok()?;
    innermost(mounts.lines().filter_map(parse), &path)
}

/// The path, or the nearest directory above it that is there.
pub(super) fn existing(path: &Path) -> &Path {
    let there = path.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists());
    there.unwrap_or(Path::new("."))
}

/// Of those that the path is below, the innermost; of those at one place, the last, which hides the others.
fn innermost(mounts: impl Iterator<Item = Mount>, path: &Path) -> Option<Mount> {
    mounts.filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| mount.point.components().count())
}

/// One line of mountinfo: `36 35 98:0 /root /point options … - kind source options`.
fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let (major, minor) = mount.next()?.split_once(':')?;
    let (point, options) = (mount.nth(1)?, mount.next()?);
    let mut file_system = file_system.split(' ');
    let (kind, source, more) = (file_system.next()?, file_system.next()?, file_system.next().unwrap_or(""));
    Some(Mount {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        point: PathBuf::from(unescaped(point)),
        kind: kind.to_owned(),
        source: unescaped(source),
        options: options.split(',').chain(more.split(',')).map(str::to_owned).collect(),
    })
}

/// The kernel writes blanks and the like as `\040`.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// What the kind and the options promise.
fn judge(mount: &Mount) -> Vec<Check> {
    let what = format!("{} on {} ({})", mount.kind, mount.point.display(), shown(mount));
    let has = |option: &str| mount.options.iter().any(|found| found == option);
    let kind = mount.kind.as_str();
    let mut checks = Vec::new();
    if IN_MEMORY.contains(&kind) {
        let words = format!("{what} is memory: a restart of this machine takes every event");
        checks.push(Check::fault(NAME, words, MOVE));
    } else if NETWORK.contains(&kind) || kind.starts_with("fuse.gluster") || kind == "fuse.sshfs" {
        let words = format!("{what} is a network file system, where a sync promises nothing");
        checks.push(Check::fault(NAME, words, MOVE));
    } else if kind == "overlay" && has("volatile") {
        let words = format!("{what} is mounted `volatile`: its syncs are left out");
        checks.push(Check::fault(NAME, words, MOVE));
    } else if kind == "overlay" {
        let words = format!("{what} is a container's own layer: its events go with the container");
        checks.push(Check::warn(NAME, words, "mount a volume there"));
    } else if kind.starts_with("fuse") {
        let words = format!("{what}: whether a sync reaches a disk is for its program to say");
        checks.push(Check::warn(NAME, words, MOVE));
    } else if !LOCAL.contains(&kind) {
        let words = format!("{what}: hookyard does not know whether its syncs reach the disk");
        checks.push(Check::warn(
            NAME,
            words,
            "see that they do (`zfs get sync`, for one), or use ext4, xfs or btrfs",
        ));
    }
    if let Some(option) = ["nobarrier", "barrier=0", "barrier=none", "fsync_mode=nobarrier"]
        .into_iter()
        .find(|option| has(option))
    {
        let words = format!("{what} is mounted `{option}`: a sync does not empty the device's cache");
        checks.push(Check::fault(NAME, words, "take the option out of /etc/fstab and mount it anew"));
    }
    if has("data=writeback") {
        let words =
            format!("{what} is mounted `data=writeback`: after a power cut, files may hold old blocks");
        checks.push(Check::warn(NAME, words, "take the option away; `data=ordered` is the default"));
    }
    if has("ro") {
        let words = format!("{what} is read-only: nothing can be stored");
        let next =
            "look into the kernel's log why (a disk fault makes it so), mend it, and mount it read-write";
        checks.push(Check::fault(NAME, words, next));
    }
    if checks.is_empty() {
        checks.push(Check::ok(NAME, what));
    }
    checks
}

fn shown(mount: &Mount) -> String {
    let mut options: Vec<&str> =
        mount.options.iter().map(String::as_str).filter(|option| !option.is_empty()).collect();
    options.sort_unstable();
    options.dedup();
    format!("{}: {}", mount.source, options.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn mount(kind: &str, options: &str) -> Mount {
        parse(&format!("36 35 98:0 / /srv rw,relatime shared:1 - {kind} /dev/vda {options}")).unwrap()
    }

    fn verdicts(kind: &str, options: &str) -> Vec<Verdict> {
        judge(&mount(kind, options)).iter().map(|check| check.verdict).collect()
    }

    #[test]
    fn each_kind_and_option_has_its_verdict() {
        use Verdict::{Fault, Ok, Warn};
        for (kind, options, expected) in [
            ("ext4", "rw", vec![Ok]),
            ("xfs", "rw,attr2", vec![Ok]),
            ("btrfs", "rw,space_cache=v2", vec![Ok]),
            ("tmpfs", "rw,size=4k", vec![Fault]),
            ("ramfs", "rw", vec![Fault]),
            ("nfs4", "rw,vers=4.2", vec![Fault]),
            ("cifs", "rw", vec![Fault]),
            ("9p", "rw", vec![Fault]),
            ("fuse.sshfs", "rw", vec![Fault]),
            ("fuse.mergerfs", "rw", vec![Warn]),
            ("overlay", "rw,lowerdir=/l,upperdir=/u", vec![Warn]),
            ("overlay", "rw,upperdir=/u,volatile", vec![Fault]),
            ("zfs", "rw,xattr", vec![Warn]),
            ("ext4", "rw,nobarrier", vec![Fault]),
            ("ext3", "rw,barrier=0", vec![Fault]),
            ("ext4", "rw,barrier=1", vec![Ok]),
            ("ext4", "rw,data=writeback", vec![Warn]),
            ("ext4", "rw,data=writeback,nobarrier", vec![Fault, Warn]),
            ("ext4", "ro", vec![Fault]),
        ] {
            assert_eq!(verdicts(kind, options), expected, "{kind} {options}");
        }
    }

    #[test]
    fn the_innermost_mount_counts_and_of_two_at_one_place_the_last() {
        let lines = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
                     23 22 0:25 / /srv/a\\040b rw - tmpfs first rw\n\
                     24 22 7:1 / /srv/a\\040b rw - xfs /dev/loop1 rw\n\
                     25 22 0:9 / /srv/a\\040bc rw - nfs server:/x rw\n";
        let at = |path: &str| innermost(lines.lines().filter_map(parse), Path::new(path)).unwrap();
        assert_eq!(at("/srv/a b/store").kind, "xfs");
        assert_eq!((at("/srv/a b").major, at("/srv/a b").minor), (7, 1));
        assert_eq!(at("/srv/a bd").kind, "ext4");
        assert_eq!(at("/").source, "/dev/vda");
    }

    #[test]
    fn a_store_that_is_not_there_yet_is_looked_for_where_it_will_be() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(existing(&dir.path().join("a/b/c")), dir.path());
        assert!(under(&dir.path().join("a/b/c")).is_some());
        assert_eq!(existing(Path::new("no/such/folder")), Path::new("."));
    }
}
