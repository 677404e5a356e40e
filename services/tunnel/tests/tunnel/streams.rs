//! What goes through a tunnel: bytes as they are, streams that don't wait for each other, and one destination.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::time::timeout;
use updraft_model::NodeId;
use updraft_tunnel::{FarEnd, OpenError, TunnelStream};

use crate::harness::{
    Authority, Balancer, Edge, PATIENCE, Service, eventually, far_end, node, reached, settings,
};

const WAIT: Duration = Duration::from_secs(5);

struct World {
    node: NodeId,
    service: Service,
    edge: Edge,
    far: FarEnd,
}

impl World {
    async fn with(service: Service) -> Self {
        let (authority, node) = (Authority::new(), node());
        let edge = Edge::start(&authority, node).await;
        let far = far_end(
            &settings(&authority, node, edge.address, service.address),
            [edge.id()],
        );
        reached(&far, &[edge.id()]).await;
        eventually("the edge has both", || async { edge.near.count(node) == 2 }).await;
        Self {
            node,
            service,
            edge,
            far,
        }
    }

    async fn open(&self) -> TunnelStream {
        self.edge.near.open(self.node, WAIT).await.unwrap()
    }

    fn open_at_service(&self) -> usize {
        self.service.open.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_megabytes_comes_back_byte_for_byte_and_ends() {
    let world = World::with(Service::echo().await).await;
    let body: Vec<u8> = (0..8_u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let (mut read, mut write) = split(world.open().await);
    let sent = body.clone();
    let sending = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
        write
    });
    let mut back = Vec::new();
    timeout(PATIENCE, read.read_to_end(&mut back))
        .await
        .unwrap()
        .unwrap();
    sending.await.unwrap();
    assert!(back == body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_side_may_end_first() {
    let greeter = Service::start(|mut stream| async move {
        stream.write_all(b"greeting").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "and still heard");
    })
    .await;
    let world = World::with(greeter).await;
    let mut stream = world.open().await;
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).await.unwrap();
    assert_eq!(greeting, "greeting");
    stream.write_all(b"and still heard").await.unwrap();
    stream.shutdown().await.unwrap();
    eventually("the service is done", || async { world.open_at_service() == 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_breaks_off_is_an_error_and_no_end() {
    let breaker = Service::start(|mut stream| async move {
        let _ = stream.read_u8().await;
        stream.write_all(b"half of it").await.unwrap();
        let _ = stream.read_u8().await;
        // Closed with something unread: the kernel resets it.
        stream.set_zero_linger().unwrap();
    })
    .await;
    let world = World::with(breaker).await;
    let mut stream = world.open().await;
    stream.write_all(b"x").await.unwrap();
    let mut half = [0; 10];
    stream.read_exact(&mut half).await.unwrap();
    stream.write_all(b"y").await.unwrap();
    assert!(timeout(WAIT, stream.read_u8()).await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_dropped_closes_its_connection_to_the_service() {
    let world = World::with(Service::talker().await).await;
    let mut stream = world.open().await;
    stream.write_all(b"x").await.unwrap();
    stream.read_u8().await.unwrap();
    assert_eq!(world.open_at_service(), 1);
    drop(stream);
    eventually("the service sees it end", || async {
        world.open_at_service() == 0
    })
    .await;
    assert_eq!(world.edge.near.load(), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_there_is_refused_as_a_connection_is() {
    let authority = Authority::new();
    let node = node();
    let nowhere = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let edge = Edge::start(&authority, node).await;
    let far = far_end(&settings(&authority, node, edge.address, nowhere), [edge.id()]);
    reached(&far, &[edge.id()]).await;
    let mut stream = edge.near.open(node, WAIT).await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_waits_a_moment_for_a_tunnel_and_no_longer() {
    let (authority, node, service) = (Authority::new(), node(), Service::echo().await);
    let edge = Edge::start(&authority, node).await;
    let none = edge.near.open(node, Duration::from_millis(50)).await;
    assert_eq!(none.err(), Some(OpenError::NoTunnel));
    let waiting = edge.near.open(node, WAIT);
    let dialling = async {
        far_end(
            &settings(&authority, node, edge.address, service.address),
            [edge.id()],
        )
    };
    let (stream, _far) = tokio::join!(waiting, dialling);
    assert!(stream.is_ok());
}

/// A hundred readers that read nothing: each holds back its own stream's window and no more, and others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_hold_up_neither_others_nor_memory() {
    let world = World::with(Service::talker().await).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(world.open().await);
    }
    eventually("all of them are there", || async {
        world.open_at_service() == 100
    })
    .await;
    for stream in &mut slow {
        stream.write_all(b"x").await.unwrap();
    }
    let mut quick = world.open().await;
    quick.write_all(b"x").await.unwrap();
    let mut block = vec![0; 1 << 20];
    for _ in 0..16 {
        timeout(PATIENCE, quick.read_exact(&mut block))
            .await
            .expect("nobody is in its way")
            .unwrap();
    }
    // With the tunnels gone there is only what had come before, and it waits within each one's window.
    drop(world.far);
    eventually("nothing comes any more", || async {
        world.edge.near.count(world.node) == 0
    })
    .await;
    for mut stream in slow {
        let mut waiting = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut waiting)).await.unwrap();
        // Fifty share each tunnel.
        assert!(waiting.len() <= 1 << 20, "{} bytes", waiting.len());
    }
}

/// With a window of 256 KiB these 16 MiB would take 64 round trips, which are 13 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_way_is_no_slow_one() {
    let (authority, node, service) = (Authority::new(), node(), Service::talker().await);
    let edge = Edge::start(&authority, node).await;
    let way = Balancer::far_away(edge.address, Duration::from_millis(100)).await;
    let far = far_end(
        &settings(&authority, node, way.address, service.address),
        [edge.id()],
    );
    reached(&far, &[edge.id()]).await;
    let mut stream = edge.near.open(node, WAIT).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut block = vec![0; 16 << 20];
    timeout(WAIT, stream.read_exact(&mut block))
        .await
        .expect("the answer does not wait for every window")
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_whose_reader_is_slow_is_held_back() {
    let deaf = Service::start(|stream| async move {
        tokio::time::sleep(PATIENCE).await;
        drop(stream);
    })
    .await;
    let world = World::with(deaf).await;
    let mut stream = world.open().await;
    let block = vec![0; 64 << 10];
    let mut taken = 0;
    while let Ok(written) = timeout(Duration::from_millis(500), stream.write(&block)).await {
        taken += written.unwrap();
        assert!(taken < 32 << 20, "somebody keeps it all");
    }
    let mut other = world.open().await;
    assert!(timeout(WAIT, other.write(&block)).await.is_ok(), "others are not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_once() {
    let world = World::with(Service::echo().await).await;
    let streams = join_all((0..1000).map(|_| world.open())).await;
    let (tunnels, carried) = world.edge.near.load();
    assert_eq!((tunnels, carried), (2, 1000));
    let echoed = streams
        .into_iter()
        .enumerate()
        .map(|(number, mut stream)| async move {
            let word = format!("stream {number:04}");
            stream.write_all(word.as_bytes()).await.unwrap();
            let mut back = vec![0; word.len()];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(back, word.as_bytes());
            stream
        });
    let streams = timeout(PATIENCE, join_all(echoed)).await.unwrap();
    assert_eq!(world.open_at_service(), 1000);
    drop(streams);
    eventually("all are closed", || async { world.open_at_service() == 0 }).await;
}

/// Browsers give requests up all the time, and many at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_given_up_by_the_hundred_break_no_tunnel() {
    let world = World::with(Service::talker().await).await;
    let mut steady = world.open().await;
    steady.write_all(b"x").await.unwrap();
    for _ in 0..5 {
        let mut streams = join_all((0..400).map(|_| world.open())).await;
        for stream in &mut streams {
            stream.write_all(b"x").await.unwrap();
        }
        drop(streams);
    }
    let mut block = vec![0; 64 << 10];
    for _ in 0..32 {
        timeout(PATIENCE, steady.read_exact(&mut block))
            .await
            .unwrap()
            .unwrap();
    }
    eventually("only one is left", || async { world.open_at_service() == 1 }).await;
    assert_eq!(world.edge.near.load(), (2, 1));
}
