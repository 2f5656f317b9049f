//! What comes from networks, discs and operators and is not as it should be: a clear error, and the node stays up.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tabularaft::transport::TransportError;
use tabularaft::{NodeConfig, ReadError, Record, StartError, TableError, WriteError};
use tabularaft_tests::tables::{DiscCount, DiscEvent, DiscWord, RamWord};
use tabularaft_tests::workload::{Writers, check_all};
use tabularaft_tests::{PATIENCE, Place, TestCluster, eventually, retry};

/// The first bytes of every dialer; the layout never changes.
const PREAMBLE: &[u8] = b"TABRAFT\n\x01\0\0\0";

/// Sends bytes to a node, and returns what it answers until it hangs up.
async fn say(address: String, bytes: Vec<u8>) -> Vec<u8> {
    let said = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The node may hang up before it has heard all of it.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the node neither answers nor hangs up")
            }
            _ => answer,
        }
    });
    said.await.unwrap()
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(&mut next).take(bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_the_port_is_turned_away_while_the_cluster_works() {
    let cluster = TestCluster::start(2).await;
    cluster.create::<DiscWord>().await;
    let after_preamble = |bytes: &[u8]| [PREAMBLE, bytes].concat();
    let oversized_frame = after_preamble(&[&u32::MAX.to_le_bytes()[..], &[1], &[0; 8]].concat());
    let unknown_kind = after_preamble(&[&4_u32.to_le_bytes()[..], &[99], &[0; 12]].concat());
    let other_version = [b"TABRAFT\n", &9_u16.to_le_bytes()[..], &[0, 0]].concat();
    let inputs = [
        noise(100_000),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        after_preamble(&noise(100_000)),
        oversized_frame,
        unknown_kind,
        other_version,
    ];
    for bytes in inputs {
        say(cluster[0].address(), bytes).await;
    }
    let words = cluster[1].node().table::<DiscWord>().unwrap();
    words.insert(&DiscWord::new("still", "here")).await.unwrap();
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_send_half_a_frame_and_stall_hold_nobody_up_and_are_cut_off() {
    let cluster = TestCluster::start(2).await;
    cluster.create::<DiscWord>().await;
    let half = [PREAMBLE, &100_u32.to_le_bytes()[..], &[1, 0, 0]].concat();
    let stalled: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(cluster[0].address()).unwrap();
            stream.write_all(&half).unwrap();
            stream
        })
        .collect();
    let words = cluster[1].node().table::<DiscWord>().unwrap();
    for n in 0..20 {
        words.insert(&DiscWord::new(n, "x")).await.unwrap();
    }
    for mut stream in stalled {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ended = tokio::task::spawn_blocking(move || stream.read_to_end(&mut Vec::new())).await.unwrap();
        let timed_out = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "a stalled peer was never cut off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_node_of_another_cluster_or_in_use_is_refused_and_left_alone() {
    let mut cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    cluster[0].node().table::<DiscWord>().unwrap().insert(&DiscWord::new("a", "b")).await.unwrap();
    let dir = cluster[0].place().dir().unwrap().to_owned();

    let thief = cluster.add("thief@localhost");
    let in_use = cluster.start_with(thief, |builder| builder.data_dir(&dir)).await.unwrap_err();
    assert!(matches!(in_use, StartError::DataDir(_)), "{in_use}");
    assert!(in_use.to_string().contains("in use by process"), "{in_use}");

    cluster.kill(0).await;
    let not_theirs = cluster.start_with(thief, |builder| builder.data_dir(&dir)).await.unwrap_err();
    let told = not_theirs.to_string();
    assert!(told.contains("n1@localhost") && told.contains("thief@localhost"), "{told}");

    let config = NodeConfig { cluster_name: "another".to_owned(), ..NodeConfig::default() };
    let not_here = cluster.start_with(0, |builder| builder.config(config)).await.unwrap_err();
    let told = not_here.to_string();
    assert!(told.contains("tabularaft") && told.contains("another"), "{told}");

    cluster.restart(0).await;
    cluster.wait_ready().await;
    assert_eq!(cluster.wait_equal_copies().await.records("disc_word"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_a_newer_format_is_refused_and_left_alone() {
    let mut cluster = TestCluster::start(1).await;
    cluster.kill(0).await;
    let identity = cluster[0].place().dir().unwrap().join("identity");
    let before = std::fs::read(&identity).unwrap();
    let text = String::from_utf8(before.clone()).unwrap();
    let (_, body) = text.split_once('\n').unwrap();
    let crc = crc32c::crc32c_append(crc32c::crc32c(b"identity 999\n"), body.as_bytes());
    let newer = format!("tabularaft identity, format 999, crc32c {crc:08x}\n{body}");
    std::fs::write(&identity, &newer).unwrap();
    let refused = cluster.start_with(0, |builder| builder).await.unwrap_err();
    assert!(matches!(refused, StartError::Identity(_)), "{refused}");
    assert!(refused.to_string().contains("999"), "{refused}");
    assert_eq!(std::fs::read_to_string(&identity).unwrap(), newer, "it was left alone");
    std::fs::write(&identity, before).unwrap();
    cluster.restart(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_before_anything_on_disc_is_touched() {
    let mut cluster = TestCluster::builder(0).idle();
    let at = cluster.add("n1@localhost");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let refused = cluster.start_with(at, |builder| builder.listen(&address)).await.unwrap_err();
    assert!(matches!(refused, StartError::Listen(TransportError::AddressInUse { .. })), "{refused}");
    assert!(refused.to_string().contains(&address), "{refused}");
    assert!(!cluster[at].place().dir().unwrap().join("log").exists());
    cluster.found(at).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_loopback_a_node_without_a_secret_does_not_start() {
    let mut cluster = TestCluster::builder(0).idle();
    let at = cluster.add("n1@localhost");
    let refused = cluster.start_with(at, |builder| builder.listen("0.0.0.0:0")).await.unwrap_err();
    assert!(matches!(refused, StartError::Listen(TransportError::SecretRequired { .. })), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disc_stops_its_node_which_says_so_and_the_others_go_on() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    let leader = cluster.wait_leader().await;
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &others);
    // First a follower's disc, then, with the follower back, the leader's.
    for full in [others[0], leader] {
        writers.wait_for_more(50).await;
        cluster[full].disc().set_full(true);
        let events = cluster[others[1]].node().table::<DiscEvent>().unwrap();
        events.insert(&DiscEvent { writer: "through".to_owned(), number: full as u64 }).await.unwrap();
        let node = cluster[full].node();
        eventually("the node with the full disc does not lead", PATIENCE, || !node.is_leader()).await;
        let said = retry("the node says what is wrong with it", PATIENCE, || async {
            match node.wait_for_tables(&[], Duration::ZERO).await {
                Err(error) if error.to_string().contains("no space left") => Ok(error.to_string()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        println!("a node with a full disc says: {said}");
        cluster[full].disc().set_full(false);
        cluster.kill(full).await;
        cluster.restart(full).await;
        cluster.wait_ready().await;
    }
    check_all::<DiscEvent, DiscCount>(&cluster, &writers.stop().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_stops_the_node_and_nothing_acknowledged_is_lost() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &[0, 1, 2]);
    for _ in 0..2 {
        writers.wait_for_more(60).await;
        let leader = cluster.wait_leader().await;
        cluster[leader].disc().fail_next_sync();
        let node = cluster[leader].node().clone();
        eventually("the node whose sync failed leads no more", PATIENCE, || !node.is_leader()).await;
        drop(node);
        let rest = [(leader + 1) % 3, (leader + 2) % 3];
        cluster.wait_leader_among(&rest).await;
        // A failed sync means that nothing is known of what was written before it: as after a crash of the machine.
        cluster.kill(leader).await;
        cluster.restart(leader).await;
        cluster.wait_ready().await;
    }
    check_all::<DiscEvent, DiscCount>(&cluster, &writers.stop().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disc_of_one_follower_slows_nobody_else() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    let leader = cluster.wait_leader().await;
    let (slow, quick) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster[slow].disc().delay_syncs(Duration::from_millis(300));
    let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &[leader, quick]);
    writers.wait_for_more(200).await;
    let tallies = writers.stop().await;
    cluster[slow].disc().delay_syncs(Duration::ZERO);
    let gap = tallies.iter().map(|tally| tally.longest_gap).max().unwrap();
    println!("longest_write_gap {} ms", gap.as_millis());
    check_all::<DiscEvent, DiscCount>(&cluster, &tallies).await;
}

/// The table of [`DiscWord`] as another program might declare it.
#[derive(Record, Serialize, Deserialize, Debug)]
#[record(table = "disc_word", kind = "ordered-set", copy = "disc")]
struct OtherWord {
    #[key]
    key: String,
    word: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_tables_and_differing_definitions_are_named_on_every_node() {
    let cluster = TestCluster::start(2).await;
    cluster.create::<DiscWord>().await;
    for node in cluster.handles() {
        let unknown = node.table::<RamWord>().map(|_| ()).unwrap_err();
        assert!(matches!(&unknown, ReadError::NoSuchTable(name) if name.as_str() == "ram_word"), "{unknown}");
        let differs = node.table::<OtherWord>().map(|_| ()).unwrap_err();
        assert!(differs.to_string().contains("word"), "{differs}");
        let refused = node.create_table::<OtherWord>().await.unwrap_err();
        assert!(refused.to_string().contains("word"), "{refused}");
        assert!(
            matches!(refused, TableError::Schema(_) | TableError::Write(WriteError::Rejected(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_directory_is_gone_starts_as_a_new_node_and_takes_its_old_place() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<DiscWord>().await;
    cluster[0].node().table::<DiscWord>().unwrap().insert(&DiscWord::new("a", "b")).await.unwrap();
    cluster.kill(2).await;
    let Place::Disc(dir) = cluster[2].place() else { panic!("it has a disc") };
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap()
        } else {
            std::fs::remove_file(path).unwrap()
        }
    }
    cluster.start_joining(2, 0).await.unwrap();
    cluster.wait_ready().await;
    assert_eq!(cluster[0].node().members().len(), 3);
    assert_ne!(cluster[2].node().incarnation().unwrap().node, 3);
    assert_eq!(cluster.wait_equal_copies().await.records("disc_word"), 1);
}
