//! Which accounts a request lists, and in which order.

use super::{
    context::RequestContext,
    description::Description,
    error::ApiError,
    input::{Include, Input},
    query,
};
use crate::domain::{Page, SystemId, TextFilter, UserFilter, UserOrder};

/// A page of users, of those that fit a filter, in some order, and what is shown of them.
pub(super) struct UserQuery {
    pub(super) page: Page,
    pub(super) filter: UserFilter,
    pub(super) order: UserOrder,
    pub(super) include: Include,
}

impl UserQuery {
    /// Whether it asks for nothing but a page of the list as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.filter == UserFilter::default() && self.order == UserOrder::BY_ID && !self.include.activity
    }
}

impl Input for UserQuery {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let (page, include) = (Page::read(context).await?, Include::read(context).await?);
        let given = context.query();
        let filter = UserFilter {
            username: query::text(given, "username")?.map(|text| TextFilter::parse(&text)),
            email: query::text(given, "email")?.map(|text| TextFilter::parse(&text)),
            is_admin: query::truth(given, "is_admin")?,
            user_id: system_id(given, "user_id")?,
            group_id: system_id(given, "group_id")?,
        };
        let order = query::text(given, "sort_by")?.map_or(Ok(UserOrder::BY_ID), |text| order(&text))?;
        Ok(Self { page, filter, order, include })
    }

    fn describe(description: &mut Description) {
        Page::describe(description);
        description.query_parameter(
            "sort_by",
            "An attribute, and `:asc` or `:desc`: `username:desc`. Texts sort without regard to case.",
        );
        description.query_parameter(
            "username",
            "Only the user of this name in any case, or after `~` those with this part in it.",
        );
        description
            .query_parameter("email", "Only users with this e-mail in any case, or after `~` with this part in it.");
        description.query_parameter("is_admin", "`true` for administrators, `false` for the others.");
        description.query_parameter("user_id", "Only users with this system uid.");
        description.query_parameter("group_id", "Only users with this system gid.");
        Include::describe(description);
        description.error(400, "A parameter cannot be read: the limit, the offset, an order or a filter.");
    }
}

fn order(text: &str) -> Result<UserOrder, ApiError> {
    let malformed = "sort_by is not an attribute of users with :asc or :desc.";
    UserOrder::parse(text).map_err(|_| ApiError::Malformed(malformed.to_owned()))
}

fn system_id(given: &str, name: &'static str) -> Result<Option<SystemId>, ApiError> {
    let Some(number) = query::number(given, name)? else { return Ok(None) };
    let malformed = |_| ApiError::Malformed(format!("The {name} is out of bounds."));
    SystemId::new(number.into()).map(Some).map_err(malformed)
}
