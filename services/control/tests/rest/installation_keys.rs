//! The installation's keys follow each other: nobody meets one that it does not believe, whatever is away and whoever dies.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use updraft_control::assignments::News;
use updraft_control::edges::{Picture, SnapshotSettings, keep_current};
use updraft_control::installation_keys::{InstallationKeys, KeyTurner, Purpose};
use updraft_model::{EdgeId, NodeId, NodeRole};
use updraft_store::secrets::MasterKey;
use updraft_store::{edges, installation_keys, nodes};
use uuid::Uuid;

use crate::nodes::launched;
use crate::support::World;

const PURPOSES: [Purpose; 2] = [Purpose::Airflow, Purpose::TunnelAuthority];

/// An installation with one web node and one edge, which do what they are told when the test says so.
struct House {
    world: World,
    web: NodeId,
    edge: EdgeId,
    version: i64,
}

// === impl House ===

impl House {
    async fn new() -> Self {
        let world = World::new().await;
        let owner = world.owner(world.tenant("acme").await).await;
        let cluster = world.cluster(&owner, "demo").await;
        let web = launched(&world, cluster, NodeRole::Web, None).await;
        Self {
            world,
            web,
            edge: EdgeId(Uuid::new_v4()),
            version: 0,
        }
    }

    /// A process of control.
    async fn control(&self) -> KeyTurner {
        let (store, master_key) = (
            self.world.database.store(),
            Arc::new(MasterKey::from_bytes([7; 32])),
        );
        let keys = InstallationKeys::open(store, &master_key, &PURPOSES)
            .await
            .unwrap();
        let turner = KeyTurner {
            store: store.clone(),
            master_key,
            control: Uuid::new_v4(),
            purposes: PURPOSES.to_vec(),
            keys,
            news: Arc::new(News::default()),
        };
        turner.look().await.unwrap();
        turner
    }

    /// The node is given what this process believes, and says that it has it.
    async fn take(&mut self, control: &KeyTurner) {
        self.give(control).await;
        self.report(self.version).await;
    }

    async fn give(&mut self, control: &KeyTurner) {
        self.version += 1;
        let mut tx = self.world.tx().await;
        installation_keys::give(&mut tx, self.web, &believed(control), self.version)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn report(&self, version: i64) {
        let mut tx = self.world.tx().await;
        nodes::record_report(&mut tx, self.web, &json!({"assignment_version": version}))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// The edge goes by this key, and says so.
    async fn sign_with(&self, key: &str) {
        let mut tx = self.world.tx().await;
        edges::note(&mut tx, self.edge, Some(&[key.to_owned()]))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn ask(&self, key: &str, distrusted: bool) {
        let mut tx = self.world.tx().await;
        installation_keys::ask_turn(&mut tx, key, distrusted)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// As if so many seconds had passed, in which everybody went on to say what they said.
    async fn age(&self, seconds: f64) {
        let mut tx = self.world.tx().await;
        for statement in [
            "update control_keys set created_at = created_at - make_interval(secs => $1),
                signs_since = signs_since - make_interval(secs => $1)",
            "update controls set keys_since = keys_since - make_interval(secs => $1), seen_at = now()",
            "update edges set keys_since = keys_since - make_interval(secs => $1), seen_at = now()",
        ] {
            sqlx::query(statement)
                .bind(seconds)
                .execute(&mut *tx)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// A while in which all of them look some times.
    async fn settle(&self, controls: &[&KeyTurner]) {
        for _ in 0..3 {
            for control in controls {
                control.look().await.unwrap();
            }
            self.age(5.0).await;
        }
    }
}

fn believed(control: &KeyTurner) -> Vec<String> {
    let keys = control.keys.airflow_believed();
    keys.into_iter().map(|key| key.kid).collect()
}

fn signing(control: &KeyTurner) -> String {
    control.keys.airflow_signing().unwrap().kid
}

#[tokio::test]
async fn a_key_is_used_when_everybody_knows_it_and_forgotten_when_nothing_of_the_old_one_can_live() {
    let mut house = House::new().await;
    let (one, other) = (house.control().await, house.control().await);
    let both = [&one, &other];
    house.take(&one).await;
    house.sign_with("airflow").await;
    house.settle(&both).await;
    assert_eq!(
        (believed(&one), signing(&one)),
        (vec!["airflow".to_owned()], "airflow".to_owned())
    );

    house.ask("airflow", false).await;
    house.settle(&both).await;
    for control in both {
        assert_eq!(believed(control), ["airflow", "airflow-2"]);
        assert_eq!(
            signing(control),
            "airflow",
            "the web node does not know the next one"
        );
    }
    house.give(&one).await;
    house.settle(&both).await;
    assert_eq!(
        signing(&one),
        "airflow",
        "the web node has not said that it has it"
    );
    house.report(house.version).await;
    house.settle(&both).await;
    assert_eq!(
        (signing(&one), signing(&other)),
        ("airflow-2".to_owned(), "airflow-2".to_owned())
    );

    house.age(200.0).await;
    house.settle(&both).await;
    assert_eq!(
        believed(&one),
        ["airflow", "airflow-2"],
        "the edge goes by the old one"
    );
    house.sign_with("airflow-2").await;
    house.settle(&both).await;
    assert_eq!(
        believed(&one),
        ["airflow", "airflow-2"],
        "what it signed may live"
    );
    house.age(80.0).await;
    house.settle(&both).await;
    assert_eq!(
        (believed(&one), believed(&other)),
        (vec!["airflow-2".to_owned()], vec!["airflow-2".to_owned()])
    );
    let mut tx = house.world.tx().await;
    let names: Vec<String> = sqlx::query_scalar("select name from control_keys where name like 'airflow%'")
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    assert_eq!(names, ["airflow-2"], "the old one is in no table any more");
}

#[tokio::test]
async fn a_control_that_is_away_holds_up_the_switch_until_it_is_known_to_be_gone() {
    let mut house = House::new().await;
    let (one, away) = (house.control().await, house.control().await);
    house.sign_with("airflow").await;
    house.ask("airflow", false).await;
    house.settle(&[&one]).await;
    house.take(&one).await;
    house.settle(&[&one]).await;
    assert_eq!(
        signing(&one),
        "airflow",
        "the other would still take the next key from a node"
    );
    let mut tx = house.world.tx().await;
    sqlx::query("update controls set seen_at = now() - interval '2 minutes' where id = $1")
        .bind(away.control)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    one.look().await.unwrap();
    assert_eq!(signing(&one), "airflow-2");
}

#[tokio::test]
async fn a_node_and_an_edge_that_never_answer_hold_nothing_up_for_ever() {
    let house = House::new().await;
    let control = house.control().await;
    house.sign_with("airflow").await;
    house.ask("airflow", false).await;
    house.settle(&[&control]).await;
    assert_eq!(signing(&control), "airflow");
    house.age(15.0 * 60.0).await;
    house.settle(&[&control]).await;
    assert_eq!(signing(&control), "airflow-2");
    assert_eq!(believed(&control), ["airflow", "airflow-2"]);
    house.age(3_600.0).await;
    house.settle(&[&control]).await;
    assert_eq!(believed(&control), ["airflow-2"]);
}

#[tokio::test]
async fn a_key_that_others_may_know_is_ended_at_once() {
    let house = House::new().await;
    let control = house.control().await;
    house.sign_with("airflow").await;
    house.ask("airflow", true).await;
    control.look().await.unwrap();
    assert_eq!(
        (believed(&control), signing(&control)),
        (vec!["airflow-2".to_owned()], "airflow-2".to_owned())
    );
}

#[tokio::test]
async fn nothing_is_begun_while_an_older_release_lives_and_a_key_turns_by_itself_after_thirty_days() {
    let house = House::new().await;
    let control = house.control().await;
    let mut tx = house.world.tx().await;
    edges::note(&mut tx, house.edge, None).await.unwrap();
    tx.commit().await.unwrap();
    house.age(30.0 * 86_400.0).await;
    house.settle(&[&control]).await;
    assert_eq!(believed(&control), ["airflow"]);
    house.sign_with("airflow").await;
    house.settle(&[&control]).await;
    assert_eq!(believed(&control), ["airflow", "airflow-2"]);
}

/// Whoever is cut off in whichever moment, and in whichever order they are told: what the edge signs with, the node believes.
#[tokio::test]
async fn whoever_dies_in_the_middle_no_request_is_refused() {
    for seed in 1..=3_u64 {
        let mut house = House::new().await;
        let mut controls = [
            house.control().await,
            house.control().await,
            house.control().await,
        ];
        house.take(&controls[0]).await;
        let (mut signs, mut trusts) = (signing(&controls[0]), believed(&controls[0]));
        house.sign_with(&signs).await;
        house.ask("airflow", false).await;
        let mut dice = seed;
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        let mut rounds = 0;
        while believed(&controls[0]) != ["airflow-2"] {
            rounds += 1;
            assert!(rounds < 300, "seed {seed}: never over");
            let at = usize::try_from(roll(3)).unwrap();
            match roll(6) {
                0 => {
                    let within = Duration::from_micros(200 * (1 + roll(40)));
                    let _cut = tokio::time::timeout(within, controls[at].look()).await;
                }
                // Another in its place; the dead one is still counted, until it is said to be gone.
                1 if rounds % 3 == 0 => {
                    let gone = std::mem::replace(&mut controls[at], house.control().await);
                    let mut tx = house.world.tx().await;
                    sqlx::query("delete from controls where id = $1")
                        .bind(gone.control)
                        .execute(&mut *tx)
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                }
                2 => {
                    house.take(&controls[at]).await;
                    trusts = believed(&controls[at]);
                }
                3 => {
                    signs = signing(&controls[at]);
                    house.sign_with(&signs).await;
                }
                _ => controls[at].look().await.unwrap(),
            }
            assert!(
                trusts.contains(&signs),
                "seed {seed}, round {rounds}: {signs} is not in {trusts:?}"
            );
            house.age(6.0).await;
        }
    }
}

fn following(world: &World, control: &KeyTurner) -> watch::Receiver<Option<Arc<Picture>>> {
    let settings = SnapshotSettings {
        session_keys: world.app.config().session_keys.clone(),
        keys: control.keys.clone(),
        console_url: "http://localhost:7700".into(),
        host_of: Box::new(|_, cluster| format!("127.0.0.{cluster}:7701")),
        tunnels: None,
    };
    let (sender, pictures) = watch::channel(None);
    let store = world.database.store().clone();
    tokio::spawn(keep_current(store, settings, sender, CancellationToken::new()));
    pictures
}

async fn version_with(pictures: &mut watch::Receiver<Option<Arc<Picture>>>, key: &str) -> i64 {
    let told = pictures.wait_for(|picture| {
        let told = picture.as_ref().map(|picture| picture.snapshot().airflow_key.kid);
        told.as_deref() == Some(key)
    });
    let told = tokio::time::timeout(Duration::from_secs(20), told)
        .await
        .unwrap()
        .unwrap();
    told.as_ref().unwrap().version()
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_are_told_of_another_key_and_every_control_gives_the_picture_the_same_number() {
    let house = House::new().await;
    let control = house.control().await;
    let mut pictures = following(&house.world, &control);
    let before = version_with(&mut pictures, "airflow").await;
    house.ask("airflow", true).await;
    control.look().await.unwrap();
    let after = version_with(&mut pictures, "airflow-2").await;
    assert_ne!(before, after);
    let later = house.control().await;
    assert_eq!(
        version_with(&mut following(&house.world, &later), "airflow-2").await,
        after
    );
}
