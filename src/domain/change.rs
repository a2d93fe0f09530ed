//! Changes that a request asks for, before and after validation.

use super::{Problem, Violations};

/// The change of one attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The attribute keeps its value, or has its default in a new record.
    #[default]
    Keep,
    /// A new value.
    Set(T),
}

/// A change that a request asks for, with the violations of its members. An invalid member changes nothing.
///
/// The service may find further violations, such as a name that is taken, and a caller without the right to make the
/// change must not see any. So change and violations stay together until the service accepts the change.
#[derive(Clone, Debug, Default)]
pub struct Submitted<T> {
    /// The valid members.
    pub change: T,
    /// The violations of the others.
    pub violations: Violations,
}

impl<T> Change<T> {
    /// The new value, or the current one.
    pub fn or(self, current: T) -> T {
        match self {
            Self::Set(value) => value,
            Self::Keep => current,
        }
    }

    /// The new value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep => None,
        }
    }

    /// Whether there is a new value that differs from the current one.
    pub fn differs_from(&self, current: &T) -> bool
    where
        T: PartialEq,
    {
        self.value().is_some_and(|value| value != current)
    }

    /// The value of an attribute that a new record needs. If it is missing, a violation is added: `blank`, unless the
    /// attribute has another one already.
    pub fn required(self, attribute: &'static str, violations: &mut Violations) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep => {
                if !violations.concern(attribute) {
                    violations.add(attribute, Problem::Blank, None);
                }
                None
            }
        }
    }
}

impl<T> Submitted<T> {
    /// The change, if there are no violations.
    ///
    /// # Errors
    /// All violations: those of the members and the further ones.
    pub fn accept(self, further: Violations) -> Result<T, Violations> {
        let violations = self.violations.and(further);
        if violations.is_empty() { Ok(self.change) } else { Err(violations) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(violations: &Violations) -> Vec<String> {
        violations.iter().map(super::super::Violation::message).collect()
    }

    #[test]
    fn a_required_attribute_is_present_or_has_one_violation() {
        let mut violations = Violations::one("username", Problem::Invalid, None);

        assert_eq!(Change::Set(7).required("email", &mut violations), Some(7));
        assert_eq!(Change::<u8>::Keep.required("username", &mut violations), None);
        assert_eq!(Change::<u8>::Keep.required("password", &mut violations), None);

        assert_eq!(messages(&violations), ["Username is invalid", "Password can't be blank"]);
    }

    #[test]
    fn a_change_is_accepted_if_there_are_no_violations() {
        let submitted = |violations| Submitted { change: 7, violations };
        let wrong = |attribute| Violations::one(attribute, Problem::Invalid, None);

        assert_eq!(submitted(Violations::none()).accept(Violations::none()), Ok(7));
        for (members, further) in [(wrong("email"), Violations::none()), (Violations::none(), wrong("email"))] {
            assert_eq!(submitted(members).accept(further), Err(wrong("email")));
        }
        let both = submitted(wrong("email")).accept(wrong("username")).unwrap_err();
        assert_eq!(messages(&both), ["Username is invalid", "Email is invalid"]);
    }
}
