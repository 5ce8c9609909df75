//! `--first-id` in a ramp.

use std::collections::HashMap;

use super::steps::Work;
use crate::config::plan::PlanError;

/// Refuses steps that would use the same ids: messages of one step would be counted for another.
pub(super) fn check_first_ids(work: &Work) -> Result<(), PlanError> {
    let mut known: HashMap<u64, &str> = HashMap::new();
    match work {
        Work::Search(search) if search.base.first_id.is_some() => Err(PlanError::new(
            "--first-id is not for a search: all of its runs would use the same ids; leave it out",
        )),
        Work::Search(_) => Ok(()),
        Work::Steps(steps) => steps.iter().try_for_each(|step| {
            let Some(first) = step.plan.request.first_id else { return Ok(()) };
            match known.insert(first, &step.name) {
                Some(other) => Err(PlanError::new(format!(
                    "--first-id {first}: the steps '{other}' and '{}' would use the same ids; set \
                     first-id in each [[step]], or leave it out",
                    step.name
                ))),
                None => Ok(()),
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::settings::Settings;
    use crate::ramp::RampPlan;

    fn refused(text: &str) -> Option<String> {
        let plan = RampPlan::new(Path::new("x.toml"), text, Settings::default(), String::new());
        plan.err().map(|error| error.to_string())
    }

    #[test]
    fn two_steps_never_use_the_same_ids() {
        let steps = "[[step]]\nconnections = 1\n[[step]]\nconnections = 2\n";
        let error = refused(&format!("first-id = 5\n{steps}")).expect("two steps with one id");
        assert!(error.contains("x.toml: --first-id 5: the steps 'connections 1' and"), "{error}");
        let own = "[[step]]\nfirst-id = 5\n[[step]]\nfirst-id = 50000\n";
        assert_eq!(refused(own), None);
        assert_eq!(refused(steps), None);
        let search = "first-id = 5\n[search]\nrate = '1k..9k'\nholds = 'requests.failed>0'\n";
        assert!(refused(search).is_some_and(|error| error.contains("not for a search")));
    }
}
