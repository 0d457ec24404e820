//! What the host's gate does, as far as these tests need it: requests go to the bound origins, placeholders are filled in, the token is
//! kept from the declared answer.

use moganite_driver::{Answer, Reply, Request, testing};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// Shared by every thread that plays the host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    pub(crate) ironic: String,
    pub(crate) keystone: String,
    pub(crate) secret: String,
    pub(crate) token: Arc<Mutex<Option<String>>>,
    pub(crate) logins: Arc<Mutex<usize>>,
}

impl Gate {
    /// From now on this thread's driver speaks through it.
    pub(crate) fn open(&self) {
        let gate = self.clone();
        testing::far_side(move |request| gate.pass(request));
    }

    pub(crate) fn logins(&self) -> usize {
        *self.logins.lock().unwrap()
    }

    fn pass(&self, request: &Request) -> Answer<Reply> {
        let token = self.token.lock().unwrap().clone();
        let mut request = request.clone();
        for (_, value) in &mut request.headers {
            if value == "{{session.token}}" {
                let Some(token) = &token else { return testing::reply(401, json!({ "gate": "no session token" })) };
                value.clone_from(token);
            }
        }
        if let Some(body) = &mut request.body {
            let text = String::from_utf8(body.clone()).unwrap().replace("{{secret.password}}", &self.secret);
            *body = text.into_bytes();
        }
        let origin = if request.endpoint == "keystone" { &self.keystone } else { &self.ironic };
        let reply = moganite_far::send(origin, &request)?;
        if let Some(token) = reply.header("x-subject-token") {
            *self.token.lock().unwrap() = Some(token.to_owned());
            *self.logins.lock().unwrap() += 1;
        }
        Ok(reply)
    }
}
