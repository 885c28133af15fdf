//! Which control to talk to, and with what token: options before environment before the file of
//! contexts. A token of the file goes only to the control that its context names.
//! Pure but for [`Env::read`] and [`file`].

use super::fault::{Fault, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest file of contexts, and largest file with a token.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where these options stand in a help text.
const HEADING: &str = "Which control";

/// Options that every verb of the client takes.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Where {
    /// The control API: http://HOST:PORT or https://HOST:PORT [env: SELVEDGE_CONTROL]
    #[arg(long, global = true, value_name = "URL", help_heading = HEADING)]
    pub(super) control: Option<String>,
    /// The token; others on this machine can see it: prefer --token-file [env: SELVEDGE_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", conflicts_with = "token_file",
          help_heading = HEADING)]
    pub(super) token: Option<String>,
    /// A file with the token [env: SELVEDGE_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    pub(super) token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust beside those of the system [env: SELVEDGE_CA_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    pub(super) ca_file: Option<PathBuf>,
    /// A context of the file of contexts, see `selvedge context` [env: SELVEDGE_CONTEXT]
    #[arg(long, global = true, value_name = "NAME", help_heading = HEADING)]
    pub(super) context: Option<String>,
}

/// What the environment says.
#[derive(Debug, Default, Clone)]
pub(super) struct Env {
    pub(super) control: Option<String>,
    pub(super) token: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) context: Option<String>,
}

impl Env {
    /// Reads it. Empty counts as not set.
    pub(super) fn read() -> Self {
        Self {
            control: variable("SELVEDGE_CONTROL"),
            token: variable("SELVEDGE_TOKEN"),
            token_file: variable("SELVEDGE_TOKEN_FILE").map(PathBuf::from),
            ca_file: variable("SELVEDGE_CA_FILE").map(PathBuf::from),
            context: variable("SELVEDGE_CONTEXT"),
        }
    }
}

/// The file of contexts.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contexts {
    /// The one that is meant when nobody names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    #[serde(default)]
    pub(super) context: BTreeMap<String, Context>,
}

/// A control and how to get in.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    pub(super) control: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca_file: Option<PathBuf>,
}

/// Where a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Text(String),
    File(PathBuf),
}

impl Token {
    /// The token itself.
    pub(super) fn read(&self) -> Result<String, Fault> {
        let (text, from) = match self {
            Self::Text(text) => (text.clone(), "the token given".to_owned()),
            Self::File(file) => (read_file(file)?, file.display().to_string()),
        };
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Fault::usage(format!(
                "{from}: there is no token of printable ASCII in it"
            )));
        }
        Ok(token.to_owned())
    }
}

/// What came of it all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) control: String,
    pub(super) token: Option<Token>,
    pub(super) ca_file: Option<PathBuf>,
}

/// Chooses. `file` is where the contexts were looked for, to be named in errors.
pub(super) fn choose(
    flags: &Where,
    env: &Env,
    contexts: &Contexts,
    file: &str,
) -> Result<Chosen, Fault> {
    let named = flags.context.as_ref().or(env.context.as_ref());
    let name = named.or(contexts.current.as_ref());
    let context = match name {
        None => None,
        Some(name) => match contexts.context.get(name) {
            Some(context) => Some(context),
            // A file that names what it does not have is wrong even if nobody needs it.
            None => return Err(no_context(name, contexts, file)),
        },
    };
    // Who names a context means its control, whatever the environment has.
    let env_control = env.control.as_ref().filter(|_| flags.context.is_none());
    let direct = flags.control.as_ref().or(env_control);
    let control = direct.or_else(|| context.map(|context| &context.control));
    let Some(control) = control else { return Err(no_control(file)) };
    let control = control.trim_end_matches('/').to_owned();
    let ours = context.filter(|context| context.control.trim_end_matches('/') == control);
    let by = |text: &Option<String>, file: &Option<PathBuf>| match (text, file) {
        (Some(text), _) => Some(Token::Text(text.clone())),
        (None, Some(file)) => Some(Token::File(file.clone())),
        (None, None) => None,
    };
    let of_context = || ours.and_then(|context| by(&context.token, &context.token_file));
    let of_env = || by(&env.token, &env.token_file);
    let is_named = flags.context.is_some() && flags.control.is_none();
    let token = by(&flags.token, &flags.token_file);
    let token = token.or_else(|| if is_named { of_context() } else { None });
    let token = token.or_else(of_env).or_else(of_context);
    let ca_file = flags.ca_file.clone();
    let ca_file = ca_file.or_else(|| env.ca_file.clone().filter(|_| !is_named));
    let ca_file = ca_file.or_else(|| ours.and_then(|context| context.ca_file.clone()));
    Ok(Chosen { control, token, ca_file })
}

fn no_context(name: &str, contexts: &Contexts, file: &str) -> Fault {
    let known = contexts.context.keys().cloned().collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "none".to_owned() } else { known };
    Fault::usage(format!(
        "there is no context {name:?} in {file} (there are: {known})\n\
         `selvedge context set {name} --control URL --token-file FILE` makes it"
    ))
}

fn no_control(file: &str) -> Fault {
    Fault::usage(format!(
        "no control to talk to: give --control URL, set SELVEDGE_CONTROL, or write a context\n\
         to {file} with `selvedge context set NAME --control URL --token-file FILE`"
    ))
}

/// Where the contexts are: `$XDG_CONFIG_HOME/selvedge/contexts.toml`, else below `~/.config`.
pub(super) fn file() -> Option<PathBuf> {
    Some(below("XDG_CONFIG_HOME", ".config")?.join("selvedge").join("contexts.toml"))
}

/// A folder of ours below the one that a variable names (XDG Base Directory), else below home.
pub(super) fn below(variable_name: &str, in_home: &str) -> Option<PathBuf> {
    let named = variable(variable_name).map(PathBuf::from).filter(|path| path.is_absolute());
    named.or_else(|| variable("HOME").map(|home| Path::new(&home).join(in_home)))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads the file of contexts; none is like an empty one. Paths in it are from its folder.
pub(super) fn read(file: &Path) -> Result<Contexts, Fault> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Contexts::default());
        }
        Err(error) => return Err(Fault::new(Kind::Usage, format!("{}: {error}", file.display()))),
    };
    let mut contexts = toml::from_str::<Contexts>(&text)
        .map_err(|error| Fault::usage(format!("{}: {error}", file.display())))?;
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    for context in contexts.context.values_mut() {
        for path in [&mut context.token_file, &mut context.ca_file].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }
    Ok(contexts)
}

/// Reads a small text file.
pub(super) fn read_file(file: &Path) -> Result<String, Fault> {
    let size = std::fs::metadata(file).map_err(|error| Fault::file(file, &error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(Fault::usage(format!("{}: larger than 1 MiB", file.display())));
    }
    std::fs::read_to_string(file).map_err(|error| Fault::file(file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Contexts {
        let text = "current = \"prod\"\n\
                    [context.prod]\ncontrol = \"https://prod.test\"\ntoken_file = \"/t/prod\"\n\
                    ca_file = \"/t/ca\"\n\
                    [context.lab]\ncontrol = \"http://lab.test:9190\"\ntoken = \"lab-token\"\n";
        toml::from_str(text).unwrap()
    }

    fn chosen(flags: &Where, env: &Env) -> Chosen {
        choose(flags, env, &contexts(), "contexts.toml").unwrap()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn options_go_before_the_environment_and_that_before_the_file() {
        let file = Some(Token::File("/t/prod".into()));
        let of_file = chosen(&Where::default(), &Env::default());
        assert_eq!((of_file.control.as_str(), &of_file.token), ("https://prod.test", &file));
        assert_eq!(of_file.ca_file, Some("/t/ca".into()));
        let env = Env { control: some("http://env.test/"), token: some("e"), ..Env::default() };
        let of_env = chosen(&Where::default(), &env);
        assert_eq!(of_env.control, "http://env.test");
        assert_eq!(of_env.token, Some(Token::Text("e".to_owned())));
        let flags =
            Where { control: some("http://flag.test"), token: some("f"), ..Where::default() };
        let of_flags = chosen(&flags, &env);
        assert_eq!(of_flags.control, "http://flag.test");
        assert_eq!(of_flags.token, Some(Token::Text("f".to_owned())));
    }

    #[test]
    fn a_token_of_the_file_goes_only_to_its_own_control() {
        let flags = Where { control: some("http://else.test"), ..Where::default() };
        let elsewhere = chosen(&flags, &Env::default());
        assert_eq!((elsewhere.token, elsewhere.ca_file), (None, None));
        let flags = Where { control: some("https://prod.test/"), ..Where::default() };
        assert!(chosen(&flags, &Env::default()).token.is_some());
    }

    #[test]
    fn a_named_context_is_taken_whole() {
        let env = Env { control: some("http://env.test"), token: some("e"), ..Env::default() };
        let flags = Where { context: some("lab"), ..Where::default() };
        let named = chosen(&flags, &env);
        assert_eq!(named.control, "http://lab.test:9190");
        assert_eq!(named.token, Some(Token::Text("lab-token".to_owned())));
        let env = Env { context: some("lab"), ..Env::default() };
        assert_eq!(chosen(&Where::default(), &env).control, "http://lab.test:9190");
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let nothing = choose(&Where::default(), &Env::default(), &Contexts::default(), "c.toml");
        let fault = nothing.unwrap_err();
        assert_eq!(fault.exit_code(), 64);
        assert!(
            fault.to_string().contains("--control URL") && fault.to_string().contains("c.toml")
        );
        let flags = Where { context: some("prd"), ..Where::default() };
        let fault = choose(&flags, &Env::default(), &contexts(), "c.toml").unwrap_err();
        assert!(fault.to_string().contains("there are: lab, prod"), "{fault}");
    }
}
