"""Choosing a worker for a call: heartbeats, the roster of those heard lately, and the choice by load."""
