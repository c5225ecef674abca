//! From what a person asked to the order that their key signs.
//!
//! Owns ids, digests, times and the target root of orders made here. Everything in an order comes from the command line
//! and files of this machine, or from documents that verified under the keyring; of what a server says only instance
//! ids go in, which certify themselves.

use orderly_model::id::{InvocationId, OrderId};
use orderly_model::limits::DELIVERY_DEADLINE_MAX_S;
use orderly_model::rollout::{Pace, RolloutPolicy};
use orderly_signing::merkle::{TargetSet, Targets};
use orderly_signing::order::{Order, Repeat};
use orderly_signing::{Envelope, InstanceId, SecretKey};
use orderly_wire::http::invocation::{self, CreateInvocation};
use orderly_wire::http::series::RunSeries;

mod work;

pub(crate) use work::{Kept, Plugin, Script, Work};

use crate::error::{Failure, OrFail as _};

/// How far an instance's clock may be behind this machine's: an order may be accepted this long before it was signed.
const CLOCK_SLACK_MS: i64 = 5 * 60 * 1000;

/// How much longer than it needs the order of a rollout lives, for a server whose clock is ahead of this machine's.
const CLOCK_SLACK_S: u64 = 5 * 60;

/// What all orders of one request have.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// On whose behalf, for people.
    pub(crate) principal: String,
    /// The instances, each once.
    pub(crate) instances: Vec<InstanceId>,
    /// Seconds within which an instance must have accepted it.
    pub(crate) deadline_s: u32,
    /// A name for people.
    pub(crate) name: Option<String>,
    /// This machine's clock.
    pub(crate) now_ms: i64,
    /// When it is due, where it is not once and at once.
    pub(crate) series: Option<RunSeries>,
    /// How it spreads over the instances, where not to all at once.
    pub(crate) rollout: Option<RolloutPolicy>,
}

impl Frame {
    /// How long an order of this work lives, in seconds: as long as an instance may take to accept it, and in a rollout until the
    /// last one had its turn, with room for clocks that differ. Never more than an order may live.
    pub(crate) fn lifetime_s(&self, work: &Work) -> u32 {
        let Some(policy) = &self.rollout else {
            return self.deadline_s;
        };
        let pace = Pace { accept_s: self.deadline_s, run_s: work.timeout_s() };
        let needed = policy.lifetime_s(self.instances.len() as u64, pace).saturating_add(CLOCK_SLACK_S);
        u32::try_from(needed).unwrap_or(u32::MAX).min(DELIVERY_DEADLINE_MAX_S)
    }
}

/// Builds and signs an order.
///
/// # Errors
/// No or too many instances, a value out of bounds, or no random bytes.
pub(crate) fn sign(work: &Work, frame: &Frame, key: &SecretKey) -> Result<Envelope, Failure> {
    let order = draft(work, frame)?;
    orderly_signing::sign::sign_order(&order, key).or_usage(|| "this cannot be made an order".to_owned())
}

/// What an order says of its instances.
///
/// # Errors
/// None, too many, or one twice.
pub(crate) fn targets(instances: impl IntoIterator<Item = InstanceId>) -> Result<Targets, Failure> {
    let set = TargetSet::of_instances(instances)
        .or_usage(|| "these instances cannot be the targets of an order".to_owned())?;
    Ok(set.targets())
}

/// Builds an order that nobody has signed.
///
/// # Errors
/// No or too many instances, or no random bytes.
pub(crate) fn draft(work: &Work, frame: &Frame) -> Result<Order, Failure> {
    Ok(Order {
        version: 1,
        order: OrderId::new(frame.now_ms, random()?).to_string(),
        invocation: InvocationId::new(frame.now_ms, random()?).to_string(),
        principal: frame.principal.clone(),
        issued_ms: frame.now_ms,
        not_before_ms: frame.now_ms.saturating_sub(CLOCK_SLACK_MS).max(0),
        expires_ms: frame.now_ms.saturating_add(i64::from(frame.lifetime_s(work)).saturating_mul(1000)),
        targets: targets(frame.instances.iter().cloned())?,
        action: work.action(),
        repeat: match &frame.series {
            Some(series) => Repeat::Series(series.of_revision(1)),
            None if work.is_dry_run() => Repeat::DryRun,
            None => Repeat::Once,
        },
    })
}

/// The request that carries the work and, where a person signed, the order.
pub(crate) fn request(work: &Work, frame: &Frame, order: Option<&Envelope>) -> CreateInvocation {
    CreateInvocation {
        run: work.run(),
        targets: invocation::Targets::Instances(frame.instances.clone()),
        order: order.map(Envelope::to_json),
        delivery_deadline_s: Some(frame.deadline_s),
        name: frame.name.clone(),
        dry_run: work.is_dry_run(),
        rollout: frame.rollout,
        series: frame.series.clone(),
    }
}

fn random() -> Result<[u8; 10], Failure> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).or_setup(|| "the system gives no random bytes".to_owned())?;
    Ok(bytes)
}

/// The script of the words after `--`: one word is taken as a script, several are one command with its arguments, each
/// quoted so that the shell sees exactly these words.
pub(crate) fn script_of_words(words: &[String]) -> Vec<u8> {
    let mut script = match words {
        [script] => script.clone(),
        words => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
    };
    if !script.ends_with('\n') {
        script.push('\n');
    }
    script.into_bytes()
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | ',' | '+' | '@' | '%');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::collections::BTreeMap;

    use orderly_signing::Digest;
    use orderly_signing::envelope::ORDER_TYPE;
    use orderly_signing::merkle::verify_target;
    use orderly_signing::order::{Action, ScriptAction, ScriptKind};
    use orderly_wire::http::script::ScriptOptions;

    use super::*;

    fn instance(seed: u8) -> InstanceId {
        InstanceId::of(SecretKey::from_seed([seed; 32]).public())
    }

    fn frame() -> Frame {
        Frame {
            principal: "alice".to_owned(),
            instances: vec![instance(1), instance(2)],
            deadline_s: 60,
            name: None,
            now_ms: 1_764_000_000_000,
            series: None,
            rollout: None,
        }
    }

    fn work() -> Work {
        Work::Script(Script {
            interpreter: ScriptKind::Shell,
            content: b"echo hi\n".to_vec(),
            user: Some("root".to_owned()),
            cwd: None,
            timeout_s: 60,
            environment: BTreeMap::new(),
            output_bytes: 1024,
            options: ScriptOptions::default(),
            dry_run: false,
        })
    }

    #[test]
    fn the_order_says_what_was_asked() {
        let envelope = sign(&work(), &frame(), &SecretKey::from_seed([9; 32])).unwrap();
        assert_eq!(envelope.payload_type, ORDER_TYPE);
        let order: Order = serde_json::from_slice(&envelope.payload).unwrap();
        assert_eq!(order.expires_ms - order.issued_ms, 60_000);
        assert_eq!(order.targets.count, 2);
        let set = TargetSet::of_instances(frame().instances).unwrap();
        let proof = set.proof(&instance(2)).unwrap();
        assert!(verify_target(&order.targets, &instance(2), Digest::ZERO, &proof));
        let Action::Script(ScriptAction { content, content_bytes, user, .. }) = order.action else {
            panic!("a script")
        };
        assert_eq!((content, content_bytes, user.as_deref()), (Digest::of(b"echo hi\n"), 8, Some("root")));
    }

    #[test]
    fn the_order_of_a_rollout_lives_until_the_last_wave_and_never_longer_than_an_order_may() {
        let lives_s = |policy: &str| {
            let frame = Frame { rollout: Some(serde_json::from_str(policy).unwrap()), ..frame() };
            let order = draft(&work(), &frame).unwrap();
            assert_eq!(request(&work(), &frame, None).rollout, frame.rollout);
            (order.expires_ms - order.issued_ms) / 1000
        };
        // Two waves of a minute to be accepted and a minute to run, a pause, and room for clocks.
        assert_eq!(lives_s(r#"{"canary":"1","pause_s":600}"#), 2 * 120 + 600 + 300);
        assert_eq!(lives_s(r#"{"canary":"1","confirm":"each-wave"}"#), 2 * 120 + 86_400 + 300);
        assert_eq!(lives_s(r#"{"canary":"1","pause_s":604800}"#), i64::from(DELIVERY_DEADLINE_MAX_S));
    }

    #[test]
    fn two_orders_never_have_one_id() {
        let key = SecretKey::from_seed([9; 32]);
        let id = || {
            let order: Order = serde_json::from_slice(&sign(&work(), &frame(), &key).unwrap().payload).unwrap();
            (order.order, order.invocation)
        };
        assert_ne!(id(), id());
    }

    #[test]
    fn no_instance_or_one_twice_is_refused() {
        let key = SecretKey::from_seed([9; 32]);
        assert!(sign(&work(), &Frame { instances: vec![], ..frame() }, &key).is_err());
        assert!(sign(&work(), &Frame { instances: vec![instance(1), instance(1)], ..frame() }, &key).is_err());
    }

    #[test]
    fn several_words_are_one_command_and_one_word_is_a_script() {
        let script = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            String::from_utf8(script_of_words(&words)).unwrap()
        };
        assert_eq!(script(&["df -h | grep root"]), "df -h | grep root\n");
        assert_eq!(script(&["ls", "-l", "my file"]), "ls -l 'my file'\n");
        assert_eq!(script(&["echo", "it's", "$HOME", ""]), "echo 'it'\\''s' '$HOME' ''\n");
    }
}
