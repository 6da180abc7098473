//! A seeded network in virtual time, for tests.
