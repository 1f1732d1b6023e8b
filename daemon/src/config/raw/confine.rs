//! `[handler.x.confine]`: what a handler's plugin may reach of the machine, and have of it.

use std::ops::RangeInclusive;

use crate::config::elements::size;
use crate::config::reader::Reader;
use crate::model::confinement::{Account, Confinement};
use crate::model::limits::{
    HOST_MEMORY_BYTES_MIN, HOST_STACK_BYTES, OPEN_FILES_DEFAULT, OPEN_FILES_MAX, OPEN_FILES_MIN,
};
use crate::rules::Fault;

const OPEN_FILES_RANGE: RangeInclusive<usize> = OPEN_FILES_MIN..=OPEN_FILES_MAX;

/// `confine = { user = "shop", read = ["config"], write = ["var/shop"], network = false, memory = "1GiB" }`
pub(super) fn read(section: &mut Reader<'_, '_, '_>, concurrency: usize) -> Option<Confinement> {
    let mut table = section.table("confine")?;
    let read = table.paths("read");
    let write = table.paths("write").unwrap_or_default();
    let network = table.flag("network").unwrap_or(true);
    let user = read_account(&mut table);
    let open_files = table.count("open_files", OPEN_FILES_DEFAULT, OPEN_FILES_RANGE);
    let memory = read_memory(&mut table, concurrency);
    let open_files = table.whole().contains_key("open_files").then_some(open_files);
    table.finish();
    Some(Confinement { read, write, user, network, open_files, memory })
}

fn read_account(table: &mut Reader<'_, '_, '_>) -> Option<Account> {
    let (user, group) = (table.text_or_number("user"), table.text_or_number("group"));
    match (user, group) {
        (Some(user), group) => Some(Account { user: user.value, group: group.map(|group| group.value) }),
        (None, Some(group)) => {
            let fault = Fault::new(group.spot.span, "`group` stands without a `user`");
            table.fault(fault.help("write user = \"…\" beside it: a group alone bounds nothing"));
            None
        }
        (None, None) => None,
    }
}

/// The stacks of its calls are address space as well: with too little the process would not come up.
fn read_memory(table: &mut Reader<'_, '_, '_>, concurrency: usize) -> Option<u64> {
    let memory = table.parsed("memory", "a size", "\"1GiB\"", size::parse)?;
    let least = HOST_MEMORY_BYTES_MIN + concurrency as u64 * HOST_STACK_BYTES;
    if memory.value < least {
        let (written, least) = (size::shown(memory.value), size::shown(least));
        let message = format!(
            "`memory` is {written}, and a process for {concurrency} calls at once needs {least} before its plugin has any"
        );
        let help = "write more, or make `concurrency` smaller; left out, there is no bound";
        table.fault(Fault::new(memory.spot.span, message).help(help));
    }
    Some(memory.value)
}
