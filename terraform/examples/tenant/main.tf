# In a tenant's account: two clusters whose nodes can't read each other's.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

variable "updraft_role_arn" {
  description = "From the operator of Updraft."
  type        = string
}

variable "external_id" {
  description = "From the operator of Updraft, for this tenant alone."
  type        = string
}

module "account" {
  source = "../../modules/tenant-account"

  installation     = "updraft"
  updraft_role_arn = var.updraft_role_arn
  external_id      = var.external_id
  regions          = ["eu-central-1"]
  subnet_arns      = ["arn:aws:ec2:eu-central-1:111122223333:subnet/subnet-0123456789abcdef0"]
  vpc_arns         = ["arn:aws:ec2:eu-central-1:111122223333:vpc/vpc-0123456789abcdef0"]

  nodes = {
    reports = {
      writes = ["acme-updraft/clusters/7/"]
      reads  = ["acme-dags/reports/"]
    }
    billing = {
      writes = ["acme-updraft/clusters/8/"]
      reads  = ["acme-dags/billing/"]
    }
  }
}

output "account" {
  value = module.account
}
