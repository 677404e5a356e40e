# An Updraft with a network of its own, DNS in Route 53, and the installation's own nodes in the same account.

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

variable "certificate_arn" {
  description = "For updraft.example.com, agents.updraft.example.com and *.airflow.example.com."
  type        = string
}

variable "zone_id" {
  description = "The Route 53 zone example.com."
  type        = string
}

variable "release" {
  description = "Key and SHA-256 of the binary in the bucket of artifacts."
  type        = object({ key = string, sha256 = string })
}

variable "external_id" {
  description = "Of the installation's own nodes: `updraft provider external-id` makes it."
  type        = string
}

variable "other_external_ids" {
  description = "While it is exchanged: docs/runbook.md."
  type        = list(string)
  default     = []
}

variable "subnet_arns" {
  description = "Subnets that nodes are in."
  type        = list(string)
}

variable "security_group_arns" {
  description = "Security groups that nodes have."
  type        = list(string)
}

variable "nodes" {
  description = "Networks, image and archives of nodes: docs/ec2.md."
  type        = any
}

# Control starts nodes by a role of this account as it does by tenants' in theirs.
module "nodes" {
  source = "../../modules/tenant-account"

  name                = "updraft-own"
  installation        = "updraft"
  updraft_role_arn    = module.updraft.control_role_arn
  external_id         = var.external_id
  other_external_ids  = var.other_external_ids
  regions             = ["eu-central-1"]
  subnet_arns         = var.subnet_arns
  security_group_arns = var.security_group_arns

  nodes = { airflow = { writes = [], reads = [] } }
}

module "updraft" {
  source = "../../modules/updraft"

  domain          = "updraft.example.com"
  airflow_domain  = "airflow.example.com"
  certificate_arn = var.certificate_arn
  zones           = ["eu-central-1a", "eu-central-1b"]
  zone_id         = var.zone_id
  airflow_zone_id = var.zone_id
  release         = var.release

  nodes = merge(var.nodes, {
    account          = { role = module.nodes.role_arn, external_id = var.external_id }
    instance_profile = module.nodes.instance_profiles["airflow"]
    subnets          = [for arn in var.subnet_arns : split("/", arn)[1]]
    security_groups  = [for arn in var.security_group_arns : split("/", arn)[1]]
  })

  # Tenants' roles, each as their owners make it. By ARN, one by one, where that should be yours to decide.
  tenant_role_arns = ["arn:aws:iam::*:role/updraft/*"]
}

output "updraft" {
  value = module.updraft
}
