# Role and installation name each other: that it can be made at once is not to be seen in either module alone.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0123456789abcdef0" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/updraft/updraft-own-control" }
  }
}
variables {
  certificate_arn     = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
  zone_id             = "Z0123456789ABCDEFGHIJ"
  release             = { key = "releases/updraft", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
  external_id         = "updraft-0123456789abcdef0123456789abcdef"
  subnet_arns         = ["arn:aws:ec2:eu-central-1:123456789012:subnet/subnet-0a1b2c3d"]
  security_group_arns = ["arn:aws:ec2:eu-central-1:123456789012:security-group/sg-0a1b2c3d"]
  nodes = {
    cidrs          = ["10.80.0.0/16"]
    image          = "ami-0a1b2c3d"
    instance_types = { scheduler = "m7i.large", web = "m7i.large", worker = "m7i.xlarge" }
    runtimes       = ["airflow-3.3.2"]
    archives       = [{ sha256 = "0000000000000000000000000000000000000000000000000000000000000000", directory = "agent", key = "archives/agent.tar.gz" }]
  }
}

run "an_installation_with_nodes_of_its_own" {
  assert {
    condition     = module.updraft.settings.control.nodes.ec2.provider.account.role == module.nodes.role_arn && module.updraft.settings.control.nodes.ec2.provider.subnets == tolist(["subnet-0a1b2c3d"])
    error_message = "control starts them by the role that was made for it"
  }
}
