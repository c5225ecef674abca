//! Secrets that are shown once and stored as their SHA-256: API tokens and activation codes.

use data_encoding::BASE32_NOPAD;
use orderly_model::id::TokenId;
use orderly_signing::digest::Digest;

use crate::clock::{self, NoRandom};
use crate::store::row::TokenRow;
use crate::store::{Store, StoreError};

/// What an API token begins with.
const TOKEN_PREFIX: &str = "ort_";

/// What an activation code begins with.
const CODE_PREFIX: &str = "oac_";

/// A new secret and what is stored of it.
#[derive(Debug)]
pub(crate) struct NewSecret {
    /// The text, shown once.
    pub text: String,
    /// Its SHA-256.
    pub hash: Digest,
}

impl NewSecret {
    /// A token of 256 random bits.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub(crate) fn token() -> Result<Self, NoRandom> {
        Ok(Self::new(TOKEN_PREFIX, &clock::random::<32>()?))
    }

    /// An activation code of 160 random bits, short enough to be typed in need.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub(crate) fn code() -> Result<Self, NoRandom> {
        Ok(Self::new(CODE_PREFIX, &clock::random::<20>()?))
    }

    fn new(prefix: &str, random: &[u8]) -> Self {
        let text = format!("{prefix}{}", BASE32_NOPAD.encode(random).to_ascii_lowercase());
        let hash = Digest::of(text.as_bytes());
        Self { text, hash }
    }
}

/// Why there is no administrator's token.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The random source.
    #[error("no token can be made")]
    Random(#[from] NoRandom),
    /// The store.
    #[error("the token could not be stored")]
    Store(#[from] StoreError),
}

/// Makes an administrator's token where there is no token at all, or where `another` is asked for. `show` gets it before it is
/// stored: a crash between leaves a token that was shown and does not work, and the next start shows one that does.
///
/// # Errors
/// Where the random source or the store fails.
pub async fn admin_token(store: &Store, another: bool, show: impl FnOnce(&str)) -> Result<(), AdminError> {
    if !another && !store.tokens().await?.is_empty() {
        return Ok(());
    }
    let secret = NewSecret::token()?;
    show(&secret.text);
    let now_ms = clock::now_ms();
    let row = TokenRow {
        uid: TokenId::new(now_ms, clock::random()?).to_string(),
        name: "admin".to_owned(),
        hash: secret.hash,
        created_ms: now_ms,
        expires_ms: None,
    };
    store.add_token(row).await?;
    Ok(())
}
