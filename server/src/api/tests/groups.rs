//! Selectors and saved groups: whom they mean.

use std::collections::BTreeMap;

use orderly_wire::http::Page;
use orderly_wire::http::group::GroupView;
use orderly_wire::http::instance::{InstanceView, SetTags};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::api::instances::{Pages, filtered};
use crate::tests::Server;
use crate::tests::agent::Agent;

/// Three instances: a web server and a database in production, a web server in test without a zone.
async fn three(server: &Server) -> Vec<String> {
    let mut ids = Vec::new();
    for tags in
        [&[("env", "prod"), ("role", "web"), ("zone", "a")][..], &[("env", "prod"), ("role", "db")], &[("env", "test")]]
    {
        let agent = Agent::enrolled(server).await;
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
        let path = format!("/v1/instances/{}/tags", agent.id);
        let _: InstanceView = server.json(Method::PUT, &path, &SetTags { tags }).await;
        ids.push(agent.id.to_string());
    }
    ids
}

/// The numbers of the instances that a query means.
async fn meant(server: &Server, ids: &[String], query: &[(&str, &str)]) -> Vec<usize> {
    let mut url = reqwest::Url::parse("https://x/v1/instances").unwrap();
    url.query_pairs_mut().extend_pairs(query);
    let page: Page<InstanceView> = server.get(&format!("{}?{}", url.path(), url.query().unwrap_or_default())).await;
    page.items.iter().map(|view| ids.iter().position(|id| *id == view.id.as_str()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_and_groups_mean_the_same_instances() {
    let server = Server::start().await;
    let ids = three(&server).await;
    for (selector, expected) in [
        ("env=prod", &[0, 1][..]),
        ("env=prod and not (role in (db,cache))", &[0]),
        ("zone!=a", &[1, 2]),
        ("role=db or env=test", &[1, 2]),
        ("env=none", &[]),
    ] {
        assert_eq!(meant(&server, &ids, &[("where", selector)]).await, expected, "{selector}");
    }
    // Pages are full although they are filtered, and a tag list narrows further.
    assert_eq!(meant(&server, &ids, &[("where", "not role=web"), ("limit", "1")]).await, [1]);
    assert_eq!(meant(&server, &ids, &[("where", "env=prod"), ("tags", "role=db")]).await, [1]);
    assert_eq!(meant(&server, &ids, &[("where", "env=prod"), ("online", "true")]).await, [0; 0]);

    let group = json!({"name": "web", "where": "role in (web)"});
    let made: GroupView = server.json(Method::POST, "/v1/groups", &group).await;
    assert_eq!((made.selector.as_str(), made.created_by.as_str()), ("role in (web)", "admin"));
    assert_eq!(server.problem(Method::POST, "/v1/groups", &group).await.code, "group-exists");
    let _: GroupView = server.json(Method::POST, "/v1/groups", &json!({"name": "a", "where": "env=test"})).await;
    assert_eq!(meant(&server, &ids, &[("group", "web")]).await, [0]);
    assert_eq!(meant(&server, &ids, &[("group", "web"), ("where", "env=test")]).await, [0; 0], "both must match");
    let page: Page<GroupView> = server.get("/v1/groups?limit=1").await;
    assert_eq!((page.items[0].name.as_str(), page.next.as_deref()), ("a", Some("a")));
    let page: Page<GroupView> = server.get("/v1/groups?limit=1&after=a").await;
    assert_eq!((page.items[0].name.as_str(), page.next), ("web", None));
    let shown: GroupView = server.get("/v1/groups/web").await;
    assert_eq!(shown, made);
    let (status, _) = server.send(Method::DELETE, "/v1/groups/web", "", "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(server.problem(Method::DELETE, "/v1/groups/web", &()).await.code, "unknown-group");
    assert_eq!(server.problem(Method::GET, "/v1/instances?group=web", &()).await.code, "unknown-group");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_selector_and_no_group_is_refused() {
    let server = Server::bare().await;
    let problem = server.problem(Method::GET, "/v1/instances?where=env%3D", &()).await;
    assert_eq!((problem.status, problem.code.as_str()), (400, "selector"));
    assert!(problem.detail.unwrap().contains("column"), "where it goes wrong");
    for group in [json!({"name": "No", "where": "a=b"}), json!({"name": "no", "where": "a="})] {
        assert_eq!(server.problem(Method::POST, "/v1/groups", &group).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_that_means_nobody_does_not_read_the_whole_table_for_one_answer() {
    let server = Server::start().await;
    let ids = three(&server).await;
    let pages = |after| Pages { tags: BTreeMap::new(), after, rows: 1, most: 2 };
    let (found, next) = filtered(&server.store, pages(0), 10, |_| false).await.unwrap();
    assert!(found.is_empty());
    let next = next.expect("where to go on").parse().unwrap();
    let (found, next) = filtered(&server.store, pages(next), 10, |_| true).await.unwrap();
    assert_eq!(found.iter().map(|row| row.uid.to_string()).collect::<Vec<_>>(), ids[2..]);
    assert_eq!(next, None, "the end of the table");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_groups_name_is_the_name_of_no_group() {
    let server = Server::bare().await;
    for method in [Method::GET, Method::DELETE] {
        for name in ["%00", "Web", "a%20b"] {
            let problem = server.problem(method.clone(), &format!("/v1/groups/{name}"), &()).await;
            assert_eq!((problem.status, problem.code.as_str()), (404, "unknown-group"), "{name}");
        }
    }
    let problem = server.problem(Method::GET, "/v1/groups?after=%00", &()).await;
    assert_eq!((problem.status, problem.code.as_str()), (400, "after"));
    assert_eq!(server.problem(Method::GET, "/v1/instances?group=%00", &()).await.code, "unknown-group");
}
