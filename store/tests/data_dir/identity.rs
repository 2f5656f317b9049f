//! The identity: lives, crashes of the machine, damage, and the fixture.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tabularaft_store::data_dir::DataDir;
use tabularaft_store::disc::FaultyDisc;
use tabularaft_store::identity::{Identity, IdentityError, KnownPeer, Removal, current_boot_id};

fn identity() -> Identity {
    let mut identity = Identity::new("green", u128::MAX - 7, "emq1@10.0.0.1".parse().unwrap(), u64::MAX);
    identity.advertise = Some("10.0.0.1:7100".into());
    identity.removed =
        Some(Removal { at_unix_ms: 1_700_000_000_000, reason: "force-leave by the operator".into() });
    identity.peers = vec![KnownPeer {
        node_id: 2,
        name: "emq2@10.0.0.2".parse().unwrap(),
        addresses: vec!["10.0.0.2:7100".into(), "[fe80::1]:7100".into()],
    }];
    identity
}

#[test]
fn an_identity_reads_back_as_it_was_saved() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    assert_eq!(Identity::load(dir.path()).unwrap(), None);
    identity().save(&dir).unwrap();
    assert_eq!(Identity::load(dir.path()).unwrap(), Some(identity()));
}

#[test]
fn the_owner_of_the_data_is_checked_by_name_and_cluster() {
    let (path, node) = (Path::new("data"), "emq1@10.0.0.1".parse().unwrap());
    identity().check_owner(path, &node, "green").unwrap();
    let other = "emq9@10.0.0.1".parse().unwrap();
    match identity().check_owner(path, &other, "green") {
        Err(IdentityError::OtherNode { found, wanted, path }) => {
            assert_eq!((found, wanted), (node.clone(), other));
            assert_eq!(path, Path::new("data/identity"));
        }
        result => panic!("{result:?}"),
    }
    assert!(matches!(identity().check_owner(path, &node, "blue"), Err(IdentityError::OtherCluster { .. })));
}

#[test]
fn a_crash_of_the_machine_is_told_from_a_kill_and_from_a_clean_stop() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let mut identity = identity();
    assert!(!identity.machine_crashed("boot 1"), "a node that never ran has not crashed");
    assert_eq!(identity.begin_life(&dir, "boot 1").unwrap(), 1);
    assert!(!identity.machine_crashed("boot 1"), "killed");
    assert!(identity.machine_crashed("boot 2"), "crashed");
    assert!(identity.machine_crashed("unknown"), "cannot be told, hence assumed");
    identity.end_life(&dir).unwrap();
    assert!(!identity.machine_crashed("boot 2"), "stopped in order");
    assert!(!identity.machine_crashed("unknown"));
    assert_eq!(Identity::load(dir.path()).unwrap().unwrap().life, 1);
}

#[test]
fn a_crash_stays_noted_over_further_starts_until_it_is_settled() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let mut identity = identity();
    identity.begin_life(&dir, "boot 1").unwrap();
    identity.begin_life(&dir, "boot 2").unwrap();
    let mut again = Identity::load(dir.path()).unwrap().unwrap();
    assert!(
        again.machine_crashed("boot 2"),
        "the process was killed before it came through the reboot cycle"
    );
    again.end_life(&dir).unwrap();
    assert!(again.machine_crashed("boot 2"), "a clean stop brings nothing back that was lost");
    again.settle_crash(&dir).unwrap();
    assert!(!Identity::load(dir.path()).unwrap().unwrap().machine_crashed("boot 2"));
}

#[test]
fn the_boot_id_is_the_same_each_time_it_is_asked_for() {
    assert_eq!(current_boot_id(), current_boot_id());
    assert!(!current_boot_id().is_empty());
}

#[test]
fn every_flipped_bit_in_the_identity_is_reported() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    identity().save(&dir).unwrap();
    let whole = fs::read(dir.identity_file()).unwrap();
    for byte in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1 << bit;
            fs::write(dir.identity_file(), &damaged).unwrap();
            match Identity::load(dir.path()) {
                Err(IdentityError::Damaged { path, .. }) => assert_eq!(path, dir.identity_file()),
                other => panic!("byte {byte}, bit {bit}: {other:?}"),
            }
        }
    }
    for length in 0..whole.len() {
        fs::write(dir.identity_file(), &whole[..length]).unwrap();
        assert!(
            matches!(Identity::load(dir.path()), Err(IdentityError::Damaged { .. })),
            "{length} bytes left"
        );
    }
}

#[test]
fn an_identity_of_a_newer_format_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let body = "{\"another\": \"shape\"}";
    let crc = crc32c::crc32c(format!("identity 7\n{body}").as_bytes());
    let text = format!("tabularaft identity, format 7, crc32c {crc:08x}\n{body}");
    fs::write(temp.path().join("identity"), text).unwrap();
    assert!(matches!(
        Identity::load(temp.path()),
        Err(IdentityError::NewerFormat { found: 7, known: 1, .. })
    ));
}

#[test]
fn a_crash_at_any_step_of_saving_leaves_the_old_identity_or_the_new() {
    for step in 1..10 {
        let temp = tempfile::tempdir().unwrap();
        let disc = Arc::new(FaultyDisc::new());
        let dir = DataDir::open_on(temp.path(), disc.clone()).unwrap();
        let mut identity = identity();
        identity.save(&dir).unwrap();
        disc.die_at_step(step);
        let result = identity.begin_life(&dir, "boot 1");
        assert_eq!(result.is_err(), disc.is_dead());
        assert_eq!(identity.life, u64::from(result.is_ok()), "unchanged in memory if it could not be saved");
        let found = Identity::load(temp.path()).unwrap().unwrap();
        assert!(found.life <= 1);
        if result.is_ok() {
            assert_eq!(found, identity);
            return;
        }
    }
    panic!("saving does not come to an end");
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/identity-v1")
}

/// `TABULARAFT_WRITE_FIXTURES=1` writes it anew; that is only right before the release of its format.
#[test]
fn an_identity_of_format_1_opens() {
    if std::env::var_os("TABULARAFT_WRITE_FIXTURES").is_some() {
        drop(fs::remove_dir_all(fixture()));
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        identity().save(&dir).unwrap();
        fs::create_dir_all(fixture()).unwrap();
        fs::copy(dir.identity_file(), fixture().join("identity")).unwrap();
    }
    assert_eq!(Identity::load(&fixture()).unwrap(), Some(identity()));
}

#[test]
fn an_identity_of_format_1_from_before_a_field_was_added_opens() {
    let temp = tempfile::tempdir().unwrap();
    let body = r#"{"cluster":"green","cluster_id":"0000000000000000000000000000002a","node":"a@b","node_id":1,
        "life":3,"boot_id":"x","clean_shutdown":false}"#;
    let crc = crc32c::crc32c(format!("identity 1\n{body}").as_bytes());
    fs::write(
        temp.path().join("identity"),
        format!("tabularaft identity, format 1, crc32c {crc:08x}\n{body}"),
    )
    .unwrap();
    let identity = Identity::load(temp.path()).unwrap().unwrap();
    assert_eq!((identity.cluster_id, identity.life, identity.removed), (42, 3, None));
}
