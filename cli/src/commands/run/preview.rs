//! `--preview`: who is meant, who is offline, and who would refuse and why, before anything is signed or sent.
//!
//! Owns the reasons that can be known here: what the agent's version does not have and what its system does not run. An agent
//! tells nobody its local policy, so the last word stays with the instance. Never sends anything.

use orderly_model::feature::{AgentVersion, too_old};
use orderly_model::instance::{Facts, Platform};
use orderly_signing::InstanceId;
use orderly_signing::order::{Action, Order, ScriptKind};
use orderly_wire::http::instance::InstanceView;
use serde::Serialize;

use crate::output::{Printer, Tone};

/// What would become of an order on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Expected {
    /// The instance.
    instance: InstanceId,
    /// Its name.
    name: String,
    /// Whether its link is up.
    online: bool,
    /// Why it would refuse, all reasons; none where nothing speaks against it here.
    refuses: Vec<String>,
}

/// Shows what would become of an order.
pub(in crate::commands) fn show(printer: &Printer, order: &Order, instances: &[InstanceView]) {
    let expected: Vec<Expected> = instances.iter().map(|view| expect(order, view)).collect();
    printer.many(&expected, |printer| {
        printer.table(&["instance", "name", "link", "expected"], expected.iter().map(row).collect());
    });
    let offline = expected.iter().filter(|one| !one.online).count();
    let refusing = expected.iter().filter(|one| !one.refuses.is_empty()).count();
    printer.remark(&format!(
        "{} instance(s), {offline} offline, {refusing} would refuse; targets {}; nothing was sent. Local policies are the instances' own",
        expected.len(),
        order.targets.root
    ));
}

fn expect(order: &Order, view: &InstanceView) -> Expected {
    Expected {
        instance: view.id.clone(),
        name: view.name.clone(),
        online: view.online,
        refuses: refusals(order, &view.facts),
    }
}

/// Why an instance with these facts would refuse.
fn refusals(order: &Order, facts: &Facts) -> Vec<String> {
    let mut reasons: Vec<String> = match facts.agent_version.parse::<AgentVersion>() {
        Ok(version) => too_old(order, &version).iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
    if let Action::Script(script) = &order.action {
        match (script.interpreter, facts.system) {
            (ScriptKind::Shell, Platform::Windows) => reasons.push("Windows runs no shell scripts".to_owned()),
            (ScriptKind::Bat, system) if system != Platform::Windows => {
                reasons.push(format!("{system} runs no batch files"));
            }
            _ => {}
        }
    }
    reasons
}

fn row(one: &Expected) -> Vec<(String, Tone)> {
    let link = if one.online { ("up".to_owned(), Tone::Good) } else { ("down".to_owned(), Tone::Attention) };
    let expected = match (one.refuses.as_slice(), one.online) {
        ([], true) => ("runs".to_owned(), Tone::Plain),
        ([], false) => ("runs, where its link comes up before the deadline".to_owned(), Tone::Attention),
        (reasons, _) => (format!("refuses: {}", reasons.join("; ")), Tone::Bad),
    };
    vec![(one.instance.to_string(), Tone::Plain), (one.name.clone(), Tone::Plain), link, expected]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_model::instance::Sandbox;
    use orderly_signing::SecretKey;
    use orderly_signing::order::{ScriptAction, Substitution};

    use super::*;
    use crate::order::{Frame, Kept, Work, draft};

    fn order(interpreter: ScriptKind, substitution: Substitution) -> Order {
        let action = ScriptAction { interpreter, substitution, ..ScriptAction::new(b"true") };
        let request = orderly_wire::http::command::RunCommand {
            id: String::new(),
            version: None,
            parameters: Default::default(),
            user: None,
            cwd: None,
            timeout_s: None,
            output_bytes: None,
        };
        let frame = Frame {
            principal: "alice".to_owned(),
            instances: vec![InstanceId::of(SecretKey::from_seed([1; 32]).public())],
            deadline_s: 60,
            name: None,
            now_ms: 1_764_000_000_000,
            series: None,
            rollout: None,
        };
        draft(&Work::Kept(Box::new(Kept { request, action })), &frame).unwrap()
    }

    fn facts(system: Platform, version: &str) -> Facts {
        Facts {
            hostname: "h".to_owned(),
            architecture: "x86_64".to_owned(),
            system,
            kernel: "6".to_owned(),
            os_release: Vec::new(),
            agent_version: version.to_owned(),
            wit: Vec::new(),
            sandbox: Sandbox::default(),
        }
    }

    #[test]
    fn an_old_agent_and_another_system_would_refuse_and_all_reasons_are_told() {
        let plain = order(ScriptKind::Shell, Substitution::Off);
        assert_eq!(refusals(&plain, &facts(Platform::Linux, "0.1.0")), Vec::<String>::new());
        assert_eq!(refusals(&plain, &facts(Platform::Windows, "0.1.0")), ["Windows runs no shell scripts"]);
        let parameters = order(ScriptKind::Bat, Substitution::Environment);
        let told = refusals(&parameters, &facts(Platform::Linux, "0.1.0"));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("version 0.1.0") && told[0].contains("0.2.0"), "{told:?}");
        assert_eq!(told[1], "linux runs no batch files");
        assert_eq!(refusals(&plain, &facts(Platform::Linux, "new")).len(), 1, "a version that is none");
    }
}
