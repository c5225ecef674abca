//! The command line as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use clap::CommandFactory as _;

use super::*;

fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("orderly").chain(words.iter().copied()))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_help() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "`{path}` has no help");
        for argument in command.get_arguments() {
            let named = argument.get_help().is_some() || matches!(argument.get_id().as_str(), "help" | "version");
            assert!(named, "`{}` of `{path}` has no help", argument.get_id());
        }
        command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(|sub| check(sub, &path));
    }
    check(&Cli::command(), "");
}

#[test]
fn lines_of_the_readme_parse() {
    for line in [
        "run --all -- uname -a",
        "run --instance web-1 --instance i-aaaaaaaaaaaaaaaaaaaaaaaaaa --timeout 5m --user root --cwd /tmp -- true",
        "run --tag env=prod --file script.sh --env A=b --deadline 7d --detach",
        "run --where env=prod --sample 3 --preview -- id",
        "run --all --save greet -- echo hello",
        "run --failed-of t-00000000000000000000000000 -- id",
        "run --group web --tag env=prod -- id",
        "instance list --where role!=db --group web --online",
        "group create web --where env=prod",
        "command create greet --file greet.sh --param who=world --type shell --tag team=shop --timeout 5m",
        "command edit greet --file greet.sh --rename hello",
        "command list --prefix gr --contains ee --type bat -t a=b -o json",
        "command run greet --version 1 --set who=me --group web --user root --deadline 7d --detach",
        "command run greet --all --pin sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "run --all --targets sha256:0000000000000000000000000000000000000000000000000000000000000000 -- id",
        "command clone greet hello --version 2",
        "run --all --plugin os-audit@0.1.0 --set deep=true",
        "run --all --max-concurrency 10% --max-errors 2 --canary 1 --batch 50 --pause 5m --confirm -- id",
        "run --all --canary 5% --confirm=after-canary --preview -- id",
        "command run greet --all --batch 50 --pause 5m --max-errors 0",
        "file push --all --max-concurrency 10 --to /srv/app app.conf",
        "invocation resume t-x --errors 3",
        "invocation confirm t-x --wave 1",
        "invocation halt t-x --reason lunch",
        "invocation list --limit 5 -o json",
        "invocation group t-x --by finding --limit 5",
        "invocation diff t-x t-y -o json",
        "invocation diff t-x --instances web-1 web-2",
        "invocation export t-x --format csv",
        "invocation retention",
        "invocation stop t-x --instance web-1",
        "invocation evidence t-x --dir evidence",
        "verify evidence evidence --complete",
        "verify receipt r.json --instance-key k.pem --order o.json",
        "activation create --ttl 4h --max 10 --tag env=prod",
        "token create ci --ttl 30d",
        "trust init --fleet prod",
        "trust publish --add operator:alice=alice.pub.pem --policy native-root=2",
        "plugin push x.orderly.tar --approve",
        "completions bash",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        if let Err(error) = parse(&words) {
            panic!("`orderly {line}`: {error}");
        }
    }
}

#[test]
fn contradictions_are_refused() {
    for line in [
        "run --all --plugin x --file f",
        "run --all --plugin x -- script",
        "run --all --file f -- script",
        "run --all --tag a=b -- x",
        "run --all --where a=b -- x",
        "run --where a= -- x",
        "run --all --sample 0 -- x",
        "run --failed-of x -- x",
        "run --all --save greet --plugin x",
        "run --all --save greet --preview -- x",
        "run --all --save greet --dry-run -- x",
        "run --all --sample 2 --targets sha256:0000000000000000000000000000000000000000000000000000000000000000 -- x",
        "run --all --targets x -- x",
        "command create greet --file f --param a --parameters b",
        "command run greet --all --unsigned --key k",
        "group create Web --where a=b",
        "invocation diff t-x",
        "invocation diff t-x t-y --instances a b",
        "invocation diff t-x --instances a",
        "invocation group t-x --by colour",
        "run --all --timeout 0 -- x",
        "run --all --max-concurrency 0% -- x",
        "run --all --canary one -- x",
        "run --all --batch 5 --pause 8d -- x",
        "run --all --batch 5 --confirm never -- x",
        "invocation confirm t-x",
        "run --all --unsigned --key k -- x",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(parse(&words).is_err(), "{line}");
    }
}
