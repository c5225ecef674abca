//! A series, case by case.
