"""Deployments, promotions and release flows: what moves images on, a step at a time."""
