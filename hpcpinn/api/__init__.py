"""The front door for Python: what ``import hpcpinn as hp`` offers, thin over what the command line uses, too."""
