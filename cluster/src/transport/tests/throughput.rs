//! How fast it is. Run with `cargo test --release -p tabularaft transport::tests::throughput -- --ignored --nocapture`.

use super::*;

async fn measure(what: &str, config: TransportConfig, payload_bytes: usize, calls: usize, in_flight: usize) {
    let server = Server::echo(config.clone()).await;
    let connection = server.connect(&config).await;
    let payload = Bytes::from(vec![7; payload_bytes]);
    let began = std::time::Instant::now();
    let mut answers = std::collections::VecDeque::with_capacity(in_flight);
    for _ in 0..calls {
        if answers.len() == in_flight {
            answers.pop_front().map(async |answer: Answer| answer.await.unwrap()).unwrap().await;
        }
        answers.push_back(connection.start(payload.clone()).await.unwrap());
    }
    for answer in answers {
        answer.await.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = calls as f64 / seconds;
    println!("{what}: {rate:.0} calls/s, {:.1} MB/s each way", rate * payload_bytes as f64 / 1e6);
}

async fn measure_all(runtime: &str) {
    for (protection, config) in [("plain", TransportConfig::default()), ("encrypted", with(&secret()))] {
        measure(&format!("{runtime}, {protection}, 100 B, 1 in flight"), config.clone(), 100, 20_000, 1)
            .await;
        for in_flight in [16, 256, 2048] {
            let what = format!("{runtime}, {protection}, 100 B, {in_flight} in flight");
            measure(&what, config.clone(), 100, 400_000, in_flight).await;
        }
        measure(&format!("{runtime}, {protection}, 1 MiB, 4 in flight"), config.clone(), 1 << 20, 400, 4)
            .await;
    }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn pipelined_calls_on_one_thread() {
    measure_all("one thread").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn pipelined_calls_on_two_threads() {
    measure_all("two threads").await;
}
