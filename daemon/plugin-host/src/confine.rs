//! What the plugin may reach, made to hold by the kernel: Landlock for files, seccomp for the network and for what no plugin
//! needs; and where the daemon is root's, root's powers are given up, and root itself where another user is named. From then
//! on it holds for this process and whatever it starts.
//!
//! Called by `run` in the one thread that there is, before the library is loaded: a library's constructors run confined.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::protocol::{Blob, Confine, Ids};

/// What Linux 6.2 can: every way to change a file is known to it.
const NEEDED: ABI = ABI::V3;
/// What newer kernels can beside it, where they can: devices' own commands, signals, abstract sockets.
const WANTED: ABI = ABI::V6;

/// What the C library, name resolution, TLS and time zones read. Where one is not there, nothing reads it.
const SYSTEM: [&str; 24] = [
    "/bin",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/lib",
    "/lib64",
    "/proc",
    "/run/systemd/resolve",
    "/sys/devices/system/cpu",
    "/usr",
];
/// What everybody writes to and nobody reads.
const SINKS: [&str; 1] = ["/dev/null"];

/// Why the plugin could not be confined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error(
        "confine: this kernel cannot keep a process from files (Landlock as of Linux 6.2, enabled at boot)"
    )]
    Landlock(#[from] RulesetError),
    #[error("confine: {path} cannot be opened; make it, or take it out of `{list}`")]
    Path { path: String, list: &'static str, source: landlock::PathFdError },
    #[error("confine: this kernel takes no filter of system calls (seccomp)")]
    Seccomp(#[from] seccompiler::Error),
    #[error("confine: the filter of system calls cannot be made for this processor")]
    Filter(#[from] seccompiler::BackendError),
    #[error("confine: root's capabilities cannot be given up")]
    Capabilities(#[source] io::Error),
    #[error("confine: this process cannot become user {}, group {}", ids.uid, ids.gid)]
    User { ids: Ids, source: io::Error },
    #[error("confine: this process has {0} threads already, and would become another user in one of them")]
    Threads(usize),
}

/// Confines this process. `library` stays readable. The user first: what its paths lead to is then looked up as the user
/// that will need them, and no root is left that could undo the rest.
pub(crate) fn confine(confine: &Confine, library: &Path) -> Result<(), ConfineError> {
    if let Some(ids) = confine.user {
        let threads =
            std::fs::read_dir("/proc/self/task").map_err(|source| ConfineError::User { ids, source })?;
        match threads.count() {
            1 => become_user(ids).map_err(|source| ConfineError::User { ids, source })?,
            more => return Err(ConfineError::Threads(more)),
        }
    }
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?;
    let rules = match &confine.read {
        None => allow(rules, "read", &[Blob(b"/".to_vec())], AccessFs::from_read(WANTED))?,
        Some(read) => {
            let rules = rules.add_rules(path_beneath_rules(SYSTEM, AccessFs::from_read(WANTED)))?;
            let rules = rules.add_rules(path_beneath_rules([library], AccessFs::from_read(WANTED)))?;
            allow(rules, "read", read, AccessFs::from_read(WANTED))?
        }
    };
    let rules = rules.add_rules(path_beneath_rules(SINKS, AccessFs::from_all(WANTED)))?;
    allow(rules, "write", &confine.write, AccessFs::from_all(WANTED))?.restrict_self()?;
    seccompiler::apply_filter(&filter(confine.network)?)?;
    give_up_capabilities()
}

/// For good: the saved ids too, and no group but the one. To the kernel each thread has a user of its own, which those that
/// it starts take over; this is called in the only one, so it holds for all of the process. What root could do (its
/// capabilities) goes with it.
fn become_user(ids: Ids) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Some of root's capabilities go past Landlock: as of Linux 6.14, `CAP_PERFMON` opens other processes' memory. With
/// `no_new_privs` no program that is started from here has them again.
fn give_up_capabilities() -> Result<(), ConfineError> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(|error| ConfineError::Capabilities(error.into()))
}

/// Allows what the operator lists: unlike the system's own, each of these has to be there.
fn allow(
    rules: RulesetCreated,
    list: &'static str,
    paths: &[Blob],
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, ConfineError> {
    paths.iter().try_fold(rules, |rules, path| {
        let path = Path::new(OsStr::from_bytes(&path.0));
        let opened = PathFd::new(path);
        let opened =
            opened.map_err(|source| ConfineError::Path { path: path.display().to_string(), list, source })?;
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(WANTED) };
        Ok(rules.add_rule(PathBeneath::new(opened, access))?)
    })
}

/// Refuses (`EPERM`) what reaches into other processes and the kernel, and other sockets than local ones.
fn filter(network: bool) -> Result<BpfProgram, ConfineError> {
    // io_uring makes sockets where no filter sees it.
    const REFUSED: [libc::c_long; 27] = [
        libc::SYS_add_key,
        libc::SYS_bpf,
        libc::SYS_chroot,
        libc::SYS_delete_module,
        libc::SYS_finit_module,
        libc::SYS_init_module,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_io_uring_setup,
        libc::SYS_kexec_file_load,
        libc::SYS_kexec_load,
        libc::SYS_keyctl,
        libc::SYS_mount,
        libc::SYS_open_by_handle_at,
        libc::SYS_perf_event_open,
        libc::SYS_pivot_root,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_reboot,
        libc::SYS_request_key,
        libc::SYS_setns,
        libc::SYS_swapoff,
        libc::SYS_swapon,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_userfaultfd,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.map(|call| (call, Vec::new())).into();
    if !network {
        let local = u64::from(libc::AF_UNIX.unsigned_abs());
        let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, local)?;
        rules.insert(libc::SYS_socket, vec![SeccompRule::new(vec![other])?]);
    }
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let processor = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refuse, processor)?.try_into()?)
}
