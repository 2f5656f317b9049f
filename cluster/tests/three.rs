use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tabularaft::{Node, NodeConfig, Record};

#[derive(Record, Serialize, Deserialize, Debug, PartialEq, Clone)]
#[record(table = "kv", kind = "ordered-set", copy = "disc")]
struct Kv { #[key] k: String, v: String }
#[derive(Record, Serialize, Deserialize, Debug, PartialEq, Clone)]
#[record(table = "bag", kind = "bag", copy = "ram")]
struct B { #[key] k: String, v: u64 }

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes() {
    let _ = tracing_subscriber::fmt().with_env_filter(std::env::var("RUST_LOG").unwrap_or("info,openraft=warn".into())).try_init();
    let t = Instant::now();
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut nodes = Vec::new();
    for i in 0..3 {
        let mut b = Node::builder(format!("n{}@localhost", i + 1)).data_dir(dirs[i].path()).listen("127.0.0.1:0").config(NodeConfig::default());
        if i > 0 { let first: &Node = &nodes[0]; b = b.join(first.listen_address().to_string()); }
        nodes.push(b.start().await.unwrap());
        println!("node {i} up after {:?}", t.elapsed());
    }
    nodes[0].create_table::<Kv>().await.unwrap();
    nodes[1].create_table::<B>().await.unwrap();
    for n in &nodes { n.wait_for_tables(&["kv", "bag"], Duration::from_secs(5)).await.unwrap(); }
    let t1 = Instant::now();
    for (i, n) in nodes.iter().enumerate() {
        let kv = n.table::<Kv>().unwrap();
        for j in 0..50 {
            kv.insert(&Kv { k: format!("{i}-{j}"), v: "x".into() }).await.unwrap();
            assert!(kv.get(format!("{i}-{j}")).unwrap().is_some());
        }
        let b = n.table::<B>().unwrap();
        b.insert(&B { k: "a".into(), v: i as u64 }).await.unwrap();
        b.insert(&B { k: "a".into(), v: i as u64 }).await.unwrap();
    }
    println!("writes {:?}", t1.elapsed());
    for n in &nodes {
        let kv = n.table::<Kv>().unwrap();
        kv.linearize().await.unwrap();
        assert_eq!(kv.count().unwrap(), 150);
        assert_eq!(kv.iter().unwrap().count(), 150);
        assert_eq!(n.table::<B>().unwrap().get_all("a").unwrap().len(), 3);
    }
    // restart node 3
    let addr = nodes[2].listen_address().to_string();
    nodes[2].shutdown().await;
    println!("stopped");
    let n3 = Node::builder("n3@localhost").data_dir(dirs[2].path()).listen(addr).start().await.unwrap();
    n3.wait_for_tables(&["kv", "bag"], Duration::from_secs(10)).await.unwrap();
    assert_eq!(n3.table::<B>().unwrap().get_all("a").unwrap().len(), 3);
    n3.table::<Kv>().unwrap().insert(&Kv { k: "after".into(), v: "y".into() }).await.unwrap();
    // kill leader
    let leader = nodes[..2].iter().position(|n| n.is_leader()).unwrap();
    println!("leader {leader}");
    nodes[leader].shutdown().await;
    let t2 = Instant::now();
    n3.table::<Kv>().unwrap().insert(&Kv { k: "after2".into(), v: "y".into() }).await.unwrap();
    println!("write after leader stop {:?}", t2.elapsed());
    n3.shutdown().await;
}
