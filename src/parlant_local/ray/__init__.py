"""Models as replicas of a Ray Serve application, and the rule by which a call finds its replica."""
