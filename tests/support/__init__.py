"""Fakes, programs and set-up that several tests share."""
