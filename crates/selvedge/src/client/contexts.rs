//! `selvedge context`: the file of contexts, which others read as well. It is replaced as a whole,
//! readable by its owner only.

use super::context::{Context, Contexts, file, read};
use super::fault::{Fault, Kind};
use super::table::Table;
use crate::process;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) const EXAMPLE: &str = "Example:\n  \
    selvedge context set prod --control https://control.shop.test:9190 --token-file ~/.selvedge\n\n\
    The file is $XDG_CONFIG_HOME/selvedge/contexts.toml, else ~/.config/selvedge/contexts.toml:\n  \
    current = \"prod\"\n  \
    [context.prod]\n  \
    control = \"https://control.shop.test:9190\"\n  \
    token_file = \"prod.token\"";

/// What `context` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct ContextArgs {
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: ContextCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ContextCommand {
    /// All contexts; `*` marks the one that is meant when nobody names one
    List,
    /// Mean this one from now on
    Use {
        /// The context
        name: String,
    },
    /// Make a context, or change one; the first one is meant at once
    Set {
        /// The context
        name: String,
        /// The control API: http://HOST:PORT or https://HOST:PORT
        #[arg(long, value_name = "URL")]
        control: Option<String>,
        /// The file with the token
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Certificates (PEM) to trust beside those of the system
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
    },
    /// Forget a context
    Remove {
        /// The context
        name: String,
    },
}

/// Does what `context` was asked for.
pub(super) fn run(args: &ContextArgs) -> Result<(), Fault> {
    let file = file().ok_or_else(|| {
        Fault::usage("neither XDG_CONFIG_HOME nor HOME says where the contexts are")
    })?;
    let mut contexts = read(&file)?;
    match &args.command {
        ContextCommand::List => {
            list(&contexts, args.json);
            return Ok(());
        }
        ContextCommand::Use { name } => {
            must_have(&contexts, name)?;
            contexts.current = Some(name.clone());
        }
        ContextCommand::Set { name, control, token_file, ca_file } => {
            let new = Context {
                control: control.clone().unwrap_or_default(),
                token_file: absolute(token_file.as_deref())?,
                token: None,
                ca_file: absolute(ca_file.as_deref())?,
            };
            set(&mut contexts, name, new)?;
        }
        ContextCommand::Remove { name } => {
            must_have(&contexts, name)?;
            contexts.context.remove(name);
            contexts.current = contexts.current.take().filter(|current| current != name);
        }
    }
    write(&file, &contexts)?;
    process::say(&format!("{} is written", file.display()));
    Ok(())
}

fn must_have(contexts: &Contexts, name: &str) -> Result<(), Fault> {
    if contexts.context.contains_key(name) {
        return Ok(());
    }
    Err(Fault::new(Kind::NotFound, format!("there is no context {name:?}; `context list` has all")))
}

/// What is not given stays as it is.
fn set(contexts: &mut Contexts, name: &str, new: Context) -> Result<(), Fault> {
    let context = contexts.context.entry(name.to_owned()).or_default();
    if !new.control.is_empty() {
        context.control = new.control;
    }
    if new.token_file.is_some() {
        (context.token_file, context.token) = (new.token_file, None);
    }
    context.ca_file = new.ca_file.or_else(|| context.ca_file.take());
    if selvedge_net::Target::parse(&context.control).is_none() {
        return Err(Fault::usage("a context needs --control http(s)://HOST:PORT"));
    }
    contexts.current.get_or_insert_with(|| name.to_owned());
    Ok(())
}

fn list(contexts: &Contexts, json: bool) {
    if json {
        // Tokens stay where they are.
        let all = contexts.context.iter().map(|(name, context)| {
            json!({
                "name": name,
                "control": context.control,
                "token_file": context.token_file,
                "ca_file": context.ca_file,
                "current": contexts.current.as_ref() == Some(name),
            })
        });
        process::print(&json!({ "items": all.collect::<Vec<_>>() }).to_string());
        return;
    }
    let mut table = Table::new(&["", "name", "control", "token"]);
    for (name, context) in &contexts.context {
        let mark = if contexts.current.as_ref() == Some(name) { "*" } else { "" };
        let token = match (&context.token, &context.token_file) {
            (Some(_), _) => "in the file".to_owned(),
            (None, Some(file)) => file.display().to_string(),
            (None, None) => "-".to_owned(),
        };
        table.row(vec![mark.to_owned(), name.clone(), context.control.clone(), token]);
    }
    match table.is_empty() {
        true => process::say("there are no contexts; `selvedge context set NAME ..` makes one"),
        false => process::print(&table.text()),
    }
}

fn absolute(path: Option<&Path>) -> Result<Option<PathBuf>, Fault> {
    path.map(|path| std::path::absolute(path).map_err(|error| Fault::file(path, &error)))
        .transpose()
}

fn write(file: &Path, contexts: &Contexts) -> Result<(), Fault> {
    let failed = |error: &std::io::Error| Fault::file(file, error);
    let text = toml::to_string(contexts)
        .map_err(|error| Fault::new(Kind::Bug, format!("{}: {error}", file.display())))?;
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    // A temporary file is its owner's alone, and so is what it becomes.
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    new.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    new.persist(file).map_err(|error| failed(&error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays_and_the_first_context_is_meant() {
        let mut contexts = Contexts::default();
        let new = Context { control: "http://a.test".to_owned(), ..Context::default() };
        set(&mut contexts, "a", new).unwrap();
        let new = Context { token_file: Some("/t".into()), ..Context::default() };
        set(&mut contexts, "a", new).unwrap();
        assert_eq!(contexts.current.as_deref(), Some("a"));
        assert_eq!(contexts.context["a"].control, "http://a.test");
        assert!(set(&mut contexts, "b", Context::default()).is_err());
    }

    #[test]
    fn what_is_written_is_read_again_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("selvedge/contexts.toml");
        let mut contexts = Contexts::default();
        let new = Context {
            control: "http://a.test".to_owned(),
            token_file: Some("/t".into()),
            ..Context::default()
        };
        set(&mut contexts, "a", new).unwrap();
        write(&file, &contexts).unwrap();
        assert_eq!(read(&file).unwrap(), contexts);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
