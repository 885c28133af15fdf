//! The words that label counters and fill the access log: one enum per idea, one word per variant.
//!
//! A label made from these enums is bounded by construction.

/// Declares an enum whose variants each have one stable word and a dense index.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$help:meta])+ $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$help])+ $variant,)+ }

        impl $name {
            /// Every variant, in the order of its index.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many variants there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The stable word of this variant.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The place of this variant in `ALL`.
            pub const fn index(self) -> usize { self as usize }
        }
    };
}

words! {
    /// How the cache took part in an answer.
    CacheResult {
        /// A fresh stored response answered.
        Hit = "hit",
        /// A stored response answered after its lifetime, as its stale windows allow.
        Stale = "stale",
        /// A stored response answered after the next hop confirmed it.
        Revalidated = "revalidated",
        /// Nothing usable was stored: the next hop was asked.
        Miss = "miss",
        /// A remembered uncacheable answer: the request went on without waiting.
        HitForMiss = "hit-for-miss",
        /// The request may not use the cache.
        Pass = "pass",
        /// The connection was switched to another protocol.
        Tunnel = "tunnel",
        /// The node answered by itself: redirect, refusal, unknown host.
        Local = "local",
        /// The node answered with an error of its own because the next hop failed.
        Error = "error",
    }
}

words! {
    /// Why a stale response was served.
    StaleReason {
        /// Inside stale-while-revalidate: a refresh runs behind the answer.
        WhileRevalidate = "while-revalidate",
        /// Inside stale-if-error: the next hop could not be reached in time.
        UpstreamFailed = "upstream-failed",
        /// Inside stale-if-error: the next hop answered with a server error.
        UpstreamError = "upstream-error",
        /// The client accepted it with max-stale.
        ClientAllowed = "client-allowed",
    }
}

words! {
    /// The first digit of a status.
    StatusClass {
        /// 100 to 199.
        Informational = "1xx",
        /// 200 to 299.
        Success = "2xx",
        /// 300 to 399.
        Redirection = "3xx",
        /// 400 to 499.
        ClientError = "4xx",
        /// 500 to 599.
        ServerError = "5xx",
        /// Anything else.
        Other = "other",
    }
}

impl StatusClass {
    /// The class a status code belongs to.
    pub const fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            5 => Self::ServerError,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_indexes_dense() {
        let words: std::collections::BTreeSet<_> =
            CacheResult::ALL.iter().map(|result| result.word()).collect();
        assert_eq!(words.len(), CacheResult::COUNT);
        for (index, result) in CacheResult::ALL.iter().enumerate() {
            assert_eq!(result.index(), index);
        }
    }

    #[test]
    fn a_status_has_the_class_of_its_first_digit() {
        assert_eq!(StatusClass::of(100).word(), "1xx");
        assert_eq!(StatusClass::of(206).word(), "2xx");
        assert_eq!(StatusClass::of(304).word(), "3xx");
        assert_eq!(StatusClass::of(421).word(), "4xx");
        assert_eq!(StatusClass::of(599).word(), "5xx");
        assert_eq!(StatusClass::of(999).word(), "other");
        assert_eq!(StatusClass::of(0).word(), "other");
    }
}
