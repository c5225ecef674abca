//! Refusals: each names the check that failed, is signed and told, and nothing runs.

use orderly_signing::digest::Digest;
use orderly_signing::envelope::Envelope;
use orderly_signing::key::SecretKey;
use orderly_signing::merkle::TargetSet;
use orderly_signing::order::{Action, Order, ScriptAction};
use orderly_signing::sign::sign_order;
use orderly_wire::to_agent::{Offer, ToAgent};

use crate::fleet::{Fleet, now_ms, root, script};

const TEXT: &[u8] = b"true";

/// Offers this envelope and expects the refusal by this check.
async fn refused(fleet: &Fleet, envelope: &Envelope, change: impl FnOnce(&mut Offer), check: &str) {
    let mut offer = fleet.offer_of(envelope, Some(TEXT));
    change(&mut offer);
    let digest = Envelope::parse(&offer.order).map_or_else(|_| Digest::of(&offer.order), |envelope| envelope.digest());
    fleet.server.send(ToAgent::Offer(Box::new(offer)));
    let outcome = fleet.ended(digest).await;
    assert_eq!((outcome.status(), outcome.check()), ("Invalid", check), "{}", outcome.reason());
    assert!(!outcome.reason().is_empty());
    assert_eq!(outcome.receipt.started_ms, None);
}

fn signed(fleet: &Fleet, change: impl FnOnce(&mut Order)) -> Envelope {
    let mut order = fleet.order(script(TEXT));
    change(&mut order);
    sign_order(&order, &fleet.operator).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_first_six_checks_refuses_by_its_name() {
    let fleet = Fleet::linked().await;
    let nothing = |_: &mut Offer| {};
    refused(&fleet, &signed(&fleet, |_| {}), |offer| offer.order = b"no envelope".to_vec(), "envelope").await;
    refused(&fleet, &signed(&fleet, |_| {}), |offer| offer.order = vec![b' '; 400 * 1024], "size").await;
    let mut stripped = signed(&fleet, |_| {});
    stripped.signatures.clear();
    refused(&fleet, &stripped, nothing, "signature").await;
    let stranger = sign_order(&fleet.order(script(TEXT)), &SecretKey::from_seed([77; 32])).unwrap();
    refused(&fleet, &stranger, nothing, "signature").await;
    let by_root = sign_order(&fleet.order(script(TEXT)), &fleet.root).unwrap();
    refused(&fleet, &by_root, nothing, "role").await;
    let mut unknown_field = Envelope::new(
        orderly_signing::envelope::ORDER_TYPE,
        String::from_utf8(signed(&fleet, |_| {}).payload).unwrap().replacen('{', "{\"more\":1,", 1).into_bytes(),
    );
    unknown_field.add_signature(&fleet.operator);
    refused(&fleet, &unknown_field, nothing, "payload").await;
    let others = TargetSet::of_instances([orderly_signing::InstanceId::of(fleet.root.public())]).unwrap();
    let elsewhere = signed(&fleet, |order| order.targets = others.targets());
    refused(&fleet, &elsewhere, nothing, "target").await;
    let late = signed(&fleet, |order| {
        order.issued_ms = now_ms() - 5000;
        order.not_before_ms = order.issued_ms;
        order.expires_ms = now_ms() - 1;
    });
    refused(&fleet, &late, nothing, "expired").await;
    let for_ever = signed(&fleet, |order| order.expires_ms = order.issued_ms + 32 * 24 * 60 * 60 * 1000);
    refused(&fleet, &for_ever, nothing, "payload").await;
    let post_dated = signed(&fleet, |order| {
        order.issued_ms = now_ms() + 400_000;
        order.expires_ms = order.issued_ms + 1000;
    });
    refused(&fleet, &post_dated, nothing, "payload").await;
    let early = signed(&fleet, |order| order.not_before_ms = now_ms() + 30_000);
    refused(&fleet, &early, nothing, "not-yet-valid").await;
    refused(&fleet, &signed(&fleet, |_| {}), |offer| offer.content = Some(b"rm".to_vec()), "content").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_with_another_digest_is_a_replay() {
    let fleet = Fleet::linked().await;
    let first = fleet.order(script(TEXT));
    assert_eq!(fleet.ended(fleet.offer(&first, Some(TEXT))).await.status(), "Success");
    let second = sign_order(&Order { expires_ms: first.expires_ms + 1, ..first }, &fleet.operator).unwrap();
    refused(&fleet, &second, |_| {}, "replay").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_order_that_only_the_server_signed_is_refused() {
    let fleet = Fleet::linked().await;
    let stolen = sign_order(&fleet.order(script(TEXT)), &fleet.dispatch).unwrap();
    refused(&fleet, &stolen, |_| {}, "threshold").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_held_back_until_the_operator_is_taken_out_is_not_run() {
    let fleet = Fleet::linked().await;
    let text = b"echo held back";
    let held = fleet.order(script(text));
    fleet.server.with(|state| {
        state.hold = true;
        state.blobs.insert(Digest::of(text).to_string(), text.to_vec());
    });
    let held = fleet.offer(&held, None);
    fleet.server.until("a request for the content", |state| (state.asked > 0).then_some(())).await;
    let keyring = fleet.keyring(2, &SecretKey::from_seed([9; 32]));
    fleet.server.send(ToAgent::Keyring(orderly_wire::to_agent::KeyringUpdate { keyring }));
    // An order with its content at hand shows that the new keyring is in force.
    refused(&fleet, &signed(&fleet, |_| {}), |_| {}, "signature").await;
    fleet.server.with(|state| state.hold = false);
    let outcome = fleet.ended(held).await;
    assert_eq!((outcome.status(), outcome.check()), ("Invalid", "signature"), "{}", outcome.reason());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_not_pushed_to_the_keyrings_expiry_by_a_stop_of_the_stolen_dispatch_key() {
    let fleet = Fleet::linked().await;
    let task = fleet.script("while :; do sleep 0.05; done", |_| {});
    fleet.accepted(task).await;
    let mut stop = fleet.order(Action::Stop { order: task, invocation: "t-1".to_owned() });
    (stop.issued_ms, stop.expires_ms) = (now_ms() + 200_000, now_ms() + 3_100_000);
    let envelope = sign_order(&stop, &fleet.dispatch).unwrap();
    fleet.server.send(ToAgent::Offer(Box::new(fleet.offer_of(&envelope, None))));
    assert_eq!(fleet.ended(task).await.status(), "Terminated");
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success", "an honest order looks expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bare_bytes_under_an_orders_signature_get_no_receipt_in_its_name() {
    let fleet = Fleet::linked().await;
    let order = signed(&fleet, |_| {});
    let mut bare = fleet.offer_of(&order, Some(TEXT));
    bare.order = order.pae();
    fleet.server.send(ToAgent::Offer(Box::new(bare)));
    fleet.server.send(ToAgent::Offer(Box::new(fleet.offer_of(&order, Some(TEXT)))));
    assert_eq!(fleet.ended(order.digest()).await.status(), "Success");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_policy_narrows_what_the_fleet_allows() {
    let mut fleet = Fleet::new().await;
    fleet.enrol().await;
    fleet.configure("[policy]\nnative = false\n");
    fleet.run().await;
    refused(&fleet, &signed(&fleet, |_| {}), |_| {}, "local-policy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_stale_keyring_the_agent_links_and_reports_but_starts_no_risky_work() {
    let mut fleet = Fleet::new().await;
    let stale = fleet.keyring_until(1, &fleet.operator, now_ms() - 1000);
    fleet.server.with(|state| state.keyring = stale);
    fleet.enrol().await;
    fleet.run().await;
    refused(&fleet, &signed(&fleet, |_| {}), |_| {}, "local-policy").await;
    let fresh = fleet.keyring(2, &fleet.operator);
    fleet.server.send(ToAgent::Keyring(orderly_wire::to_agent::KeyringUpdate { keyring: fresh }));
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_floor_that_was_verified_holds_over_restarts_so_a_clock_set_back_lets_nothing_old_in() {
    let mut fleet = Fleet::linked().await;
    // An operator's clock is ahead: what it signed raises the floor past this machine's clock.
    let ahead = fleet.outcome("true", |order| {
        order.issued_ms = now_ms() + 200_000;
        order.expires_ms = now_ms() + 900_000;
    });
    assert_eq!(ahead.await.status(), "Success");
    fleet.kill().await;
    fleet.run().await;
    // In force by this machine's clock, over by the floor.
    refused(&fleet, &signed(&fleet, |_| {}), |_| {}, "expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bat_on_linux_is_refused_with_the_reason() {
    let fleet = Fleet::linked().await;
    let done = fleet
        .outcome("dir", |order| {
            let Action::Script(ScriptAction { interpreter, .. }) = &mut order.action else { panic!() };
            *interpreter = orderly_signing::order::ScriptKind::Bat;
        })
        .await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("CommandNotApplicable")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_the_task_and_nothing_runs_unrecorded() {
    if !root("a_full_disk_refuses_the_task_and_nothing_runs_unrecorded") {
        return;
    }
    let mut fleet = Fleet::new().await;
    fleet.enrol().await;
    // The data directory moves to a disk of 256 KiB, which the test then fills.
    let (small, old) = (fleet.dir.path().join("small"), fleet.data());
    std::fs::create_dir(&small).unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs"])
        .arg(&small)
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        println!("skipped: this machine mounts no tmpfs");
        return;
    }
    let _unmount = Unmount(small.clone());
    assert!(std::process::Command::new("cp").arg("-a").arg(old.join(".")).arg(&small).status().unwrap().success());
    std::fs::remove_dir_all(&old).unwrap();
    std::os::unix::fs::symlink(&small, &old).unwrap();
    fleet.run().await;
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
    let mut filler = std::fs::File::create(small.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 512]).is_ok() {}
    let witness = fleet.dir.path().join("witness");
    let text = format!("echo ran >> {}", witness.display());
    // What was set aside for ends may still take a few.
    let mut ran = 0;
    let full = loop {
        let done = fleet.outcome(&text, |_| {}).await;
        if done.status() != "Success" {
            break done;
        }
        ran += 1;
        assert!(ran < 100, "the disk never fills");
    };
    assert_eq!((full.status(), full.check()), ("Invalid", "journal"), "{}", full.reason());
    assert_eq!(full.receipt.code.as_deref(), Some("JournalUnavailable"));
    assert_eq!(std::fs::read_to_string(&witness).unwrap_or_default().lines().count(), ran);
    // Its room is given back once nobody holds it open.
    drop(filler);
    std::fs::remove_file(small.join("filler")).unwrap();
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
    fleet.end().await;
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_damage_to_the_journal_old_orders_are_refused_and_new_ones_run() {
    let mut fleet = Fleet::linked().await;
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
    let old = signed(&fleet, |_| {});
    fleet.kill().await;
    let journal = fleet.data().join("journal");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
    fleet.run().await;
    refused(&fleet, &old, |_| {}, "journal").await;
    assert_eq!(fleet.outcome("true", |_| {}).await.status(), "Success");
    let aside = std::fs::read_dir(fleet.data()).unwrap().flatten();
    assert!(aside.filter(|entry| entry.file_name().to_string_lossy().starts_with("journal.corrupt-")).count() == 1);
}
