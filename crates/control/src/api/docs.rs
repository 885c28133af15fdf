//! The description of the API: for programs at `/openapi.json`, for people at `/docs`. The page is
//! made from the description, needs no script, and nothing from elsewhere.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use http::header;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use super::{App, audit};
use crate::problem::Kind;

/// Adds what needs no token: the description, and whether control answers.
pub(crate) fn add(router: Router<App>, description: OpenApi) -> Router<App> {
    let mut description = serde_json::to_value(description).unwrap_or_default();
    complete(&mut description);
    let text: Arc<str> = description.to_string().into();
    let page: Arc<str> = page(&description).into();
    router
        .route(
            "/openapi.json",
            get(move || {
                let text = text.to_string();
                async move { ([(header::CONTENT_TYPE, "application/json")], text).into_response() }
            }),
        )
        .route(
            "/docs",
            get(move || {
                let page = page.to_string();
                async move { Html(page) }
            }),
        )
        .route("/livez", get(audit::alive))
        .route("/readyz", get(audit::alive))
}

/// What the code of the handlers does not say by itself.
fn complete(description: &mut Value) {
    description["openapi"] = json!("3.1.0");
    description["info"] = json!({
        "title": "Selvedge control",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Sites, pushed content, purges and nodes of a CDN. Every request brings a \
            token (`Authorization: Bearer TOKEN`). What changes something takes an \
            `Idempotency-Key`: the same request with the same key is carried out once in 24 hours. \
            Errors are problem+json (RFC 9457); every answer has an `X-Request-Id`.",
    });
    description["security"] = json!([{ "token": [] }]);
    description["components"]["securitySchemes"] =
        json!({ "token": { "type": "http", "scheme": "bearer" } });
    let Some(paths) = description["paths"].as_object_mut() else { return };
    let key = json!({
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "A request that comes again with it is carried out once",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
    });
    for (method, operation) in paths.values_mut().filter_map(Value::as_object_mut).flatten() {
        if matches!(method.as_str(), "get" | "head") || !operation.is_object() {
            continue;
        }
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(key.clone()),
            None => operation["parameters"] = json!([key]),
        }
    }
}

/// The description for people.
fn page(description: &Value) -> String {
    let mut page = String::from(HEAD);
    let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let _ = write!(
        page,
        "<h1>{}</h1><p class=v>{}</p><p>{}</p><p><a href=openapi.json>openapi.json</a></p>",
        text(&description["info"]["title"]),
        text(&description["info"]["version"]),
        text(&description["info"]["description"]),
    );
    let mut tag = String::new();
    for (path, method, operation) in operations(description) {
        let own = text(&operation["tags"][0]);
        if own != tag {
            let _ = write!(page, "<h2 id={own}>{own}</h2>");
            tag = own;
        }
        let _ = write!(
            page,
            "<section><h3><b class={method}>{}</b> <code>{}</code></h3><p><em>{}</em> {}</p>",
            method.to_uppercase(),
            escaped(path),
            text(&operation["summary"]),
            text(&operation["description"]),
        );
        parameters(&mut page, operation);
        body(&mut page, description, operation);
        responses(&mut page, description, operation);
        page.push_str("</section>");
    }
    page.push_str("<h2 id=problems>problems</h2><table>");
    for kind in Kind::ALL {
        let (status, word, title) = kind.row();
        let status = status.as_u16();
        let _ = write!(page, "<tr><td>{status}<td><code>/problems/{word}</code><td>{title}");
    }
    page.push_str("</table>");
    page
}

/// Every operation, those of one tag together.
fn operations(description: &Value) -> Vec<(&str, &str, &Value)> {
    let mut all = Vec::new();
    for (path, item) in description["paths"].as_object().into_iter().flatten() {
        for method in ["get", "head", "post", "put", "patch", "delete"] {
            if let Some(operation) = item.get(method) {
                all.push((path.as_str(), method, operation));
            }
        }
    }
    all.sort_by_key(|(_, _, operation)| operation["tags"][0].as_str().unwrap_or_default());
    all
}

fn parameters(page: &mut String, operation: &Value) {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let mut rows = String::new();
    for parameter in all {
        let field = |name: &str| escaped(parameter[name].as_str().unwrap_or_default());
        let (name, place, about) = (field("name"), field("in"), field("description"));
        let _ = write!(rows, "<tr><td><code>{name}</code><td>{place}<td>{about}");
    }
    if !rows.is_empty() {
        let _ = write!(page, "<table>{rows}</table>");
    }
}

fn body(page: &mut String, description: &Value, operation: &Value) {
    let contents = operation["requestBody"]["content"].as_object().into_iter().flatten();
    for (kind, content) in contents {
        let _ = write!(page, "<p>Body: {}</p>", escaped(kind));
        fields(page, description, &content["schema"]);
    }
}

fn responses(page: &mut String, description: &Value, operation: &Value) {
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let about = escaped(response["description"].as_str().unwrap_or_default());
        let _ = write!(page, "<p>{status}: {about}</p>");
        if status.starts_with('2') {
            for content in response["content"].as_object().into_iter().flatten() {
                fields(page, description, &content.1["schema"]);
            }
        }
    }
}

/// The fields of a schema, as a table.
fn fields(page: &mut String, description: &Value, schema: &Value) {
    let schema = resolved(description, schema);
    let parts = schema["allOf"].as_array().into_iter().flatten();
    for part in parts {
        fields(page, description, part);
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    page.push_str("<table>");
    for (name, property) in properties {
        let inner = resolved(description, property);
        let kind = match &inner["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                kinds.join(" or ")
            }
            _ => "object".to_owned(),
        };
        let about = property["description"].as_str();
        let about = about.or_else(|| inner["description"].as_str());
        let about = escaped(about.unwrap_or_default());
        let _ = write!(page, "<tr><td><code>{}</code><td>{kind}<td>{about}", escaped(name));
        if let Some(items) = inner.get("items") {
            page.push_str("<tr><td colspan=3>");
            fields(page, description, items);
        }
    }
    page.push_str("</table>");
}

fn resolved<'v>(description: &'v Value, schema: &'v Value) -> &'v Value {
    match schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
        Some(pointer) => description.pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
    <meta name=viewport content='width=device-width'><title>Selvedge control</title><style>\
    body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    h2{margin-top:3rem;border-bottom:2px solid #888;text-transform:capitalize}\
    section{margin:2rem 0;padding-left:1rem;border-left:4px solid #ddd}h3{margin:0}\
    code{font-size:.95em;word-break:break-all}table{border-collapse:collapse;margin:.5rem 0}\
    td{border:1px solid #ccc;padding:.15rem .6rem;vertical-align:top}.v{color:#666}\
    b{font:700 .8em monospace;padding:.1em .5em;border-radius:.3em;color:#fff;background:#557}\
    .get{background:#276}.delete{background:#a33}.put,.patch{background:#a60}\
    @media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}a{color:#8bf}\
    td{border-color:#444}section{border-color:#333}}</style>";
