//! Mounts handlers: runs the guard, then the inputs, then the handler.

use std::future::Future;

use actix_web::HttpResponse;
use futures_util::future::LocalBoxFuture;

use super::{
    body::BodyKind, context::RequestContext, description::Description, error::ApiError, guard::Guard, input::Input,
    json_response::list_head, reply::Reply,
};

/// A handler: its first parameter is its guard, its others are its inputs.
pub(super) trait Handler<G, I>: Copy + Send + Sync + 'static {
    type Reply: Reply;

    fn call(self, guard: G, inputs: I) -> impl Future<Output = Result<Self::Reply, ApiError>>;
}

impl<F, A, R, G> Handler<G, ()> for F
where
    F: Fn(G) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<R, ApiError>>,
    R: Reply,
{
    type Reply = R;

    fn call(self, guard: G, (): ()) -> impl Future<Output = Result<R, ApiError>> {
        self(guard)
    }
}

impl<F, A, R, G, I> Handler<G, (I,)> for F
where
    F: Fn(G, I) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<R, ApiError>>,
    R: Reply,
{
    type Reply = R;

    fn call(self, guard: G, (input,): (I,)) -> impl Future<Output = Result<R, ApiError>> {
        self(guard, input)
    }
}

impl<F, A, R, G, I, J> Handler<G, (I, J)> for F
where
    F: Fn(G, I, J) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<R, ApiError>>,
    R: Reply,
{
    type Reply = R;

    fn call(self, guard: G, (first, second): (I, J)) -> impl Future<Output = Result<R, ApiError>> {
        self(guard, first, second)
    }
}

type Run =
    dyn for<'a> Fn(&'a mut RequestContext<'_>) -> LocalBoxFuture<'a, Result<HttpResponse, ApiError>> + Send + Sync;

/// A handler of any signature, which can be run and described.
pub(super) struct Mounted {
    pub(super) run: Box<Run>,
    pub(super) describe: fn(&mut Description),
    /// The kind of the body that the handler's inputs are read from.
    pub(super) body: Option<BodyKind>,
}

/// Mounts a handler after the guard that its row names.
pub(super) fn mount<G: Guard + 'static, I: Input + 'static, H: Handler<G, I>>(handler: H) -> Mounted {
    Mounted {
        run: Box::new(move |context| Box::pin(answer::<G, I, H>(handler, context))),
        describe: |description| {
            G::describe(description);
            I::describe(description);
            H::Reply::describe(description);
        },
        body: I::BODY,
    }
}

async fn answer<G: Guard, I: Input, H: Handler<G, I>>(
    handler: H,
    context: &mut RequestContext<'_>,
) -> Result<HttpResponse, ApiError> {
    // Admit before parsing: a caller without a valid credential must not learn from a 400 or 404 what exists.
    let guard = G::admit(context).await?;
    let inputs = I::read(context).await?;
    if H::Reply::IS_LIST && context.is_head() {
        return Ok(list_head());
    }
    context.reserve(H::Reply::max_bytes())?;
    let reply = handler.call(guard, inputs).await?;
    Ok(reply.into_response(context.response_budget()).await?)
}
