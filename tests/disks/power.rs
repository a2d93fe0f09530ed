//! The power goes in the midst of writes, again and again.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::{
    disks::{
        disk::{Disk, Kind, is_equipped, remove},
        writer::{WriteOutcome, Writer, stored},
    },
    harness::{Server, ServerBuilder, random_below, repetitions},
};

const WRITERS: [&str; 6] = ["ann", "bob", "cid", "dot", "eve", "fay"];
/// How often the power is cut on each file system, unless `LODGE_TEST_CUTS` is set.
const CUTS: usize = 5;
/// Every so many cuts begin with a new store.
const CUTS_OF_A_STORE: usize = 5;
/// How many writes are acknowledged at most before the power is cut.
const MAX_WRITES: usize = 300;

#[test]
fn after_a_power_cut_on_ext4_everything_that_was_acknowledged_is_there() {
    cut_again_and_again(Kind::Ext4, "mkfs.ext4");
}

#[test]
fn after_a_power_cut_on_xfs_everything_that_was_acknowledged_is_there() {
    cut_again_and_again(Kind::Xfs, "mkfs.xfs");
}

fn cut_again_and_again(kind: Kind, mkfs: &str) {
    if !is_equipped(&format!("power cuts on {kind:?}"), &[mkfs, "xfs_io", "mount", "umount"]) {
        return;
    }
    let disk = Disk::image(kind);
    let data_dir = disk.path().join("data").to_str().unwrap().to_owned();
    let builder = ServerBuilder::new().variable("LODGE_DATA_DIR", &data_dir).variable("LODGE_DISK_RESERVE", "0B");
    let mut server = builder.start();
    let mut writers = WRITERS.map(Writer::new);
    let mut acknowledged = 0;

    for cut in 0..cuts() {
        if cut > 0 && cut % CUTS_OF_A_STORE == 0 {
            verify(&mut server);
            remove(data_dir.as_ref());
            server.start_again();
            writers = WRITERS.map(Writer::new);
        }
        acknowledged += write_until_cut(&mut server, &disk, &mut writers);
        disk.restore_power();
        server.start_again();
        let lost = lost(&server, &mut writers);
        assert!(lost.is_empty(), "{kind:?}, cut {cut}, {acknowledged} acknowledged, {} lost: {lost:#?}", lost.len());
    }

    verify(&mut server);
    eprintln!("{kind:?}: {} power cuts, {acknowledged} writes acknowledged, none lost", cuts());
}

fn cuts() -> usize {
    repetitions("LODGE_TEST_CUTS", CUTS)
}

/// All write at once until so many writes are acknowledged and the power is cut; returns how many were in the end.
fn write_until_cut(server: &mut Server, disk: &Disk, writers: &mut [Writer]) -> usize {
    let moment = 1 + random_below(MAX_WRITES);
    let acknowledged = AtomicUsize::new(0);
    let admin = server.admin();
    thread::scope(|scope| {
        for writer in writers {
            let (acknowledged, admin) = (&acknowledged, &admin);
            scope.spawn(move || {
                while let WriteOutcome::Acknowledged = writer.write(admin) {
                    if disk.is_cut() {
                        return writer.doubt_last();
                    }
                    if acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == moment {
                        disk.cut_power();
                    }
                }
            });
        }
    });
    server.kill();
    let acknowledged = acknowledged.into_inner();
    assert!(acknowledged >= moment, "the power was cut by nobody: {}", server.log());
    acknowledged
}

fn lost(server: &Server, writers: &mut [Writer]) -> Vec<String> {
    let stored = stored(&server.admin());
    writers.iter_mut().flat_map(|writer| writer.settle(&stored)).collect()
}

/// Stops the server and has its store read whole.
fn verify(server: &mut Server) {
    assert!(server.stop().success(), "{}", server.log());
    let output = server.command(&["verify"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
