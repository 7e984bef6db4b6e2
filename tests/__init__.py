"""Tests of the bridge, one guarantee per test."""
