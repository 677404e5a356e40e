# An Updraft with a network of its own, and DNS in Route 53.

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

variable "nodes" {
  description = "Subnets, groups, image and archives of nodes: docs/ec2.md."
  type        = any
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
  nodes           = var.nodes
}

output "updraft" {
  value = module.updraft
}
