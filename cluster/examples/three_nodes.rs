//! Three nodes in one process: the second and third join the first, and all of them see what any of them writes.
//!
//! `cargo run -p tabularaft --example three_nodes`

use serde::{Deserialize, Serialize};
use tabularaft::{Error, Node, Record};

/// Where the clients of a broker are connected.
#[derive(Record, Serialize, Deserialize, Debug)]
#[record(table = "session", kind = "set", copy = "ram")]
struct Session {
    #[key]
    client: String,
    node: String,
}

async fn node(name: &str, join: Option<&Node>) -> Result<Node, Error> {
    let builder = Node::builder(format!("{name}@localhost")).diskless().listen("127.0.0.1:0");
    let builder = match join {
        Some(peer) => builder.join(peer.listen_address().to_string()),
        None => builder,
    };
    Ok(builder.start().await?)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let first = node("n1", None).await?;
    let nodes = [node("n2", Some(&first)).await?, node("n3", Some(&first)).await?, first];
    let [second, ..] = &nodes;
    second.create_table::<Session>().await?;
    for node in &nodes {
        let sessions = node.table::<Session>()?;
        sessions
            .insert(&Session { client: format!("client of {}", node.name()), node: node.name().to_string() })
            .await?;
    }
    for node in &nodes {
        let sessions = node.table::<Session>()?;
        sessions.linearize().await?;
        let clients: Vec<String> =
            sessions.iter()?.map(|found| found.map(|s| s.client)).collect::<Result<_, _>>()?;
        println!("{} sees {} sessions: {clients:?}", node.name(), clients.len());
    }
    for node in &nodes {
        node.shutdown().await;
    }
    Ok(())
}
