//! What an order can say of a script beyond its text, from the request to the receipt of a real agent.

use orderly_signing::order::{Repeat, Substitution};
use orderly_tests::api::output_text;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;

use crate::native::run;

#[test]
fn values_input_and_launcher_reach_the_script_that_was_signed() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let text = "printf '%s|%s|' \"$ORDERLY_PARAM_NAME\" \"$ORDERLY_INSTANCE_ID\"; cat";
    let work = Work::script(text).with(|script| {
        script.options.substitution = Substitution::Environment;
        script.options.parameters = [("name".to_owned(), "$(id) '".to_owned())].into();
        script.options.stdin = Some("input".to_owned());
        script.options.launcher = Some("sh -e {{ACS::ScriptFileName}}".to_owned());
    });
    let (_, task) = run(&fleet, &agent.id, &work);
    assert_eq!(output_text(&task), format!("$(id) '|{}|input", agent.id), "{:?}", task.view.reason);
    // The name is what the server tells; text only where it can do no harm.
    let work = Work::script("echo {{ACS::InstanceName}}/{{ACS::InstanceId}}").with(|script| {
        script.options.substitution = Substitution::Text;
    });
    let (_, task) = run(&fleet, &agent.id, &work);
    let name = fleet.api.instance(&agent.id).name;
    assert_eq!(output_text(&task), format!("{name}/{}\n", agent.id), "{:?}", task.view.reason);
}

#[test]
fn a_trial_runs_nothing_and_an_order_that_says_otherwise_than_its_request_is_refused() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let witness = fleet.path("witness");
    let work = Work::script(format!("touch {}", witness.display()));
    let mut order = work.order(std::slice::from_ref(&agent.id));
    order.repeat = Repeat::DryRun;
    let envelope = orderly_signing::sign::sign_order(&order, &fleet.trust.operator).unwrap();
    let targets = || orderly_wire::http::invocation::Targets::Instances(vec![agent.id.clone()]);
    let mut request = work.request(targets(), Some(&envelope));
    assert!(fleet.api.create(&request).is_err(), "the request says that it runs");
    request.dry_run = true;
    let invocation = fleet.api.create(&request).unwrap_or_else(|problem| panic!("{problem:?}")).id;
    let task = fleet.api.wait_end(&invocation, &agent.id, std::time::Duration::from_secs(30));
    assert_eq!(task.view.status, "Success", "{:?}", task.view.reason);
    assert!(output_text(&task).contains("line: /bin/sh SCRIPT"), "{}", output_text(&task));
    assert!(!witness.exists());
}
