"""Tests of the recipes that ask the gate."""
