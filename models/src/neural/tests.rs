//! Networks on what they are for, gradients against differences, replay and its odds.
