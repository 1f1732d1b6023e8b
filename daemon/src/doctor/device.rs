//! The block device under the store: whether the kernel tells it to empty its cache when a file is synced.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Check, mount};

const NAME: &str = "write cache";
const SYS: &str = "/sys/dev/block";

/// What the kernel knows of the device's cache.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cache {
    device: String,
    /// `queue/write_cache`: what the kernel acts on.
    queue: String,
    /// What a SCSI or SATA disk itself says.
    disk: Option<String>,
}

/// The device under the store, where there is one and it can be read.
pub(super) fn check(store: &Path) -> Vec<Check> {
    let Some(mount) = mount::under(store) else { return Vec::new() };
    let next = format!(
        "see with `lsblk` and the device's maker whether a sync empties the cache under {}",
        mount.source
    );
    if mount.major == 0 {
        let words = format!("{} names no block device of its own ({})", mount.kind, mount.source);
        return vec![Check::skipped(NAME, words, next)];
    }
    let link = Path::new(SYS).join(format!("{}:{}", mount.major, mount.minor));
    match read(&link) {
        Some(cache) => vec![judge(&cache)],
        None => vec![Check::skipped(NAME, format!("{SYS} says nothing of {}", mount.source), next)],
    }
}

fn read(link: &Path) -> Option<Cache> {
    let mut device = link.canonicalize().ok()?;
    if device.join("partition").exists() {
        device = device.parent()?.to_owned();
    }
    Some(Cache {
        device: device.file_name()?.to_string_lossy().into_owned(),
        queue: text(&device.join("queue/write_cache"))?,
        disk: scsi(&device),
    })
}

/// `/sys/block/sda/device/scsi_disk/0:0:0:0/cache_type`
fn scsi(device: &Path) -> Option<String> {
    let mut disks = fs::read_dir(device.join("device/scsi_disk")).ok()?;
    let disk: PathBuf = disks.next()?.ok()?.path();
    text(&disk.join("cache_type"))
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn judge(cache: &Cache) -> Check {
    let Cache { device, queue, disk } = cache;
    let volatile = disk.as_ref().is_some_and(|disk| disk.starts_with("write back"));
    let mend = format!(
        "echo \"write back\" > /sys/block/{device}/queue/write_cache, and so at each start of the machine"
    );
    match queue.as_str() {
        "write back" => {
            Check::ok(NAME, format!("{device} has one, and the kernel empties it with each sync"))
        }
        "write through" if volatile => {
            let words = format!(
                "{device} has a volatile write cache, and the kernel was told to ignore it: syncs do not empty it"
            );
            Check::fault(NAME, words, mend)
        }
        "write through" => {
            let words = format!(
                "the kernel takes {device} for a device without a volatile cache and never empties one: right only where its \
                 cache survives a power cut, or it has none"
            );
            Check::warn(NAME, words, format!("ask its maker; where it is not so: {mend}"))
        }
        other => Check::skipped(
            NAME,
            format!("{device} says `{other}`"),
            "ask its maker what that means for a sync",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn an_ignored_cache_is_told() {
        let judged = |queue: &str, disk: Option<&str>| {
            let cache =
                Cache { device: "sda".to_owned(), queue: queue.to_owned(), disk: disk.map(str::to_owned) };
            judge(&cache).verdict
        };
        assert_eq!(judged("write back", None), Verdict::Ok);
        assert_eq!(judged("write back", Some("write back")), Verdict::Ok);
        assert_eq!(judged("write through", Some("write back, no read (daft)")), Verdict::Fault);
        assert_eq!(judged("write through", Some("write through")), Verdict::Warn);
        assert_eq!(judged("write through", None), Verdict::Warn);
        assert_eq!(judged("none", None), Verdict::Skipped);
    }

    #[test]
    fn a_partition_is_read_at_its_disk() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("block/sda");
        fs::create_dir_all(disk.join("sda1")).unwrap();
        fs::create_dir_all(disk.join("queue")).unwrap();
        fs::create_dir_all(disk.join("device/scsi_disk/0:0:0:0")).unwrap();
        fs::write(disk.join("sda1/partition"), "1\n").unwrap();
        fs::write(disk.join("queue/write_cache"), "write through\n").unwrap();
        fs::write(disk.join("device/scsi_disk/0:0:0:0/cache_type"), "write back\n").unwrap();
        let cache = read(&disk.join("sda1")).unwrap();
        assert_eq!((cache.device.as_str(), judge(&cache).verdict), ("sda", Verdict::Fault));
    }
}
